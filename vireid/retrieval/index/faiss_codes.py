"""faiss indexes that look at short codes of the vectors: to need less memory, or less time."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

import numpy as np

from vireid.core.errors import UserError, nearest
from vireid.core.registries import INDEXES
from vireid.retrieval.index.faiss_backends import PER_LIST, ROUNDS, at_least, chosen, lists_for, trained
from vireid.retrieval.index.faiss_base import FaissIndex
from vireid.retrieval.index.faiss_gpu import import_faiss

Rotation = Literal["principal", "opq", "none"]
LEAST = 8  # lists that are looked into, if nobody says how many
CENTRES = 80  # vectors for each centre of a code that it is trained on at most
SMALLEST = 16 * PER_LIST  # vectors that codes of four bits need; fewer are compared whole


@INDEXES.register
class FaissIVFPQ(FaissIndex):
    """Inverted lists whose vectors are kept as short codes: for galleries that do not fit in memory whole.

    `code_bytes` of a vector, beside eight of its number; at most one for each dimension.
    `rotation`: before they are coded, vectors are turned to `directions` directions (0: two for each byte), so that
    codes lose less. "principal": the principal ones, shared out so that each byte codes about as much variance (the
    parametric solution of Ge et al., CVPR 2013); "opq": learned (minutes); "none": vectors are coded as they are.
    `lists`, `probes`: as in `FaissIVF`.
    Codes are compared by their distance to the query, not by their product with it: what a code loses makes it shorter,
    and a distance takes that into account. Scores are the cosines that follow from these distances.
    Below 624 vectors nothing is coded: they are kept and compared whole.
    Errors: UserError for a width that `code_bytes` does not divide, without rotation.
    """

    example: ClassVar[dict] = {"code_bytes": 4}
    least = SMALLEST
    keeps_vectors = False
    on_gpu = False  # cards take other code lengths and no rotation: an index must not depend on the machine

    def __init__(
        self,
        *,
        lists: int = 0,
        probes: int = 32,
        code_bytes: int = 64,
        rotation: Rotation = "principal",
        directions: int = 0,
    ) -> None:
        if rotation not in get_args(Rotation):
            known = get_args(Rotation)
            raise UserError(f"rotation: {rotation!r} is not one of {known}{nearest(str(rotation), known)}")
        if directions and rotation == "none":
            raise UserError("directions are found by a rotation: leave them out, or choose rotation principal or opq")
        self.lists, self.probes = at_least(0, lists=lists), at_least(1, probes=probes)
        self.code_bytes, self.rotation = at_least(1, code_bytes=code_bytes), rotation
        self.directions = at_least(0, directions=directions)
        super().__init__(device="cpu")

    def _named(self) -> str:
        rotated = "" if self.rotation == "none" else f", {self.rotation} directions"
        width = self._width()
        return f"inverted lists of codes ({self._bytes(width or self.code_bytes)} bytes{rotated}, {self.probes} probed)"

    def _empty(self, rows: np.ndarray) -> Any:
        faiss, inner = import_faiss(), self._coded(rows.shape[1])
        bits = code_bits(len(rows))
        lists = lists_for(len(rows), self.lists)
        codes = faiss.IndexIVFPQ(faiss.IndexFlatL2(inner), inner, lists, self._bytes(rows.shape[1]), bits)
        codes.pq.cp.niter, codes.pq.cp.max_points_per_centroid = ROUNDS, CENTRES
        codes.use_precomputed_table = -1  # it may be several times as large as the codes
        if self.rotation == "none":
            return trained(codes, rows, codes)
        turn = self._turn(rows, inner, bits)
        return trained(faiss.IndexPreTransform(turn, codes), rows, codes)

    @property
    def limit(self) -> int | None:
        """Also where more vectors allow finer codes than those of the training."""
        limit = super().limit
        if not limit or not self._trained_on or (bits := code_bits(self._trained_on)) == 8:
            return limit
        return min(limit, 2 ** (bits + 1) * PER_LIST - 1)

    def check_width(self, width: int) -> None:
        self._coded(width)

    def _bytes(self, width: int) -> int:
        """Bytes of a code: a code has no part that covers less than one dimension."""
        return min(self.code_bytes, width)

    def _coded(self, width: int) -> int:
        """Width of what is coded."""
        parts = self._bytes(width)
        whole = width - width % parts
        inner = width if self.rotation == "none" else min(self.directions or 2 * parts, whole)
        if inner % parts or inner == 0:
            of = "directions" if self.directions and whole else "the width"
            raise UserError(f"code_bytes {parts} does not divide {of} {inner or width}: choose one that does")
        return inner

    def _turn(self, rows: np.ndarray, inner: int, bits: int) -> Any:
        faiss, sample = import_faiss(), chosen(rows, max(1 << 15, 4 * rows.shape[1]))
        parts = self._bytes(rows.shape[1])
        if self.rotation == "opq":
            turn = faiss.OPQMatrix(rows.shape[1], parts, inner)
            turn.niter, turn.niter_pq, turn.max_train_points = ROUNDS, 4, 1 << 15
            quantizer = faiss.ProductQuantizer(inner, parts, bits)  # faiss's own always wants 256 centres
            turn.pq = quantizer
            turn.train(sample)
            turn.pq = None
            return turn
        variances, directions = np.linalg.eigh(np.atleast_2d(np.cov(sample.T)))
        order = shared_out(variances, parts, inner // parts)
        turn = faiss.LinearTransform(rows.shape[1], inner, False)
        faiss.copy_array_to_vector(directions.T[order].astype(np.float32).ravel(), turn.A)
        turn.is_trained = True
        return turn

    def _parameters(self, selector: Any) -> Any:
        faiss = import_faiss()
        inner = faiss.SearchParametersIVF(nprobe=self.probes, sel=selector)
        return inner if self.rotation == "none" else faiss.SearchParametersPreTransform(index_params=inner)

    def _cosines(self, found: np.ndarray) -> np.ndarray:
        return 1 - found / 2


@INDEXES.register
class FaissIVFRefined(FaissIndex):
    """Inverted lists that are looked through by four-bit codes; the best of them are compared whole.

    Vectors are kept whole, and their codes beside them.

    `refine`: how many times k vectors are compared whole. `code_bytes` of a vector, two codes a byte; 0 is a code for
    every four dimensions, or the nearest number below that divides the width. `lists`: as in `FaissIVF`. `probes`: 0 is
    a fifth of the lists, at least 8.
    Below 624 vectors nothing is coded: they are compared whole.
    Errors: UserError for a width that twice `code_bytes` does not divide.
    """

    example: ClassVar[dict] = {"code_bytes": 2}
    least = SMALLEST
    on_gpu = False  # faiss has these codes on the CPU only

    def __init__(self, *, lists: int = 0, probes: int = 0, code_bytes: int = 0, refine: int = 8) -> None:
        self.lists, self.probes = at_least(0, lists=lists), at_least(0, probes=probes)
        self.code_bytes, self.refine = at_least(0, code_bytes=code_bytes), at_least(1, refine=refine)
        super().__init__(device="cpu")

    def _named(self) -> str:
        return f"inverted lists of fast codes ({self.probes or 'a fifth'} probed, {self.refine} k compared whole)"

    def _empty(self, rows: np.ndarray) -> Any:
        faiss, width = import_faiss(), rows.shape[1]
        parts = self._parts(width)
        centres = faiss.IndexFlatIP(width)
        codes = faiss.IndexIVFPQFastScan(
            centres, width, lists_for(len(rows), self.lists), parts, 4, faiss.METRIC_INNER_PRODUCT
        )
        codes.pq.cp.niter = ROUNDS
        return trained(faiss.IndexRefineFlat(codes), rows, codes)

    def check_width(self, width: int) -> None:
        self._parts(width)

    def _parts(self, width: int) -> int:
        """Codes of a vector."""
        if self.code_bytes == 0:
            return next(parts for parts in range(max(1, width // 4), 0, -1) if width % parts == 0)
        parts = 2 * self.code_bytes
        if width % parts:
            raise UserError(f"twice code_bytes, {parts}, does not divide the width {width}: choose one that does")
        return parts

    def _stored(self, index: Any) -> np.ndarray:
        kept = import_faiss().downcast_index(index.refine_index)
        return kept.reconstruct_n(0, kept.ntotal)

    def _parameters(self, selector: Any) -> Any:
        faiss = import_faiss()
        probes = self.probes or max(LEAST, -(-faiss.extract_index_ivf(self._index).nlist // 5))
        inner = faiss.SearchParametersIVF(nprobe=probes, sel=selector)
        return faiss.IndexRefineSearchParameters(k_factor=self.refine, base_index_params=inner)


def code_bits(number: int) -> int:
    """Bits of each code that this many vectors can train: at most 8.

    >>> [code_bits(n) for n in (624, 1247, 1248, 9984, 100_000)]
    [4, 4, 5, 8, 8]
    """
    return min(8, int(np.log2(max(number // PER_LIST, 2))))


def shared_out(variances: np.ndarray, parts: int, each: int) -> np.ndarray:
    """(D,) -> (parts * each,): the largest variances' places, part by part, with about equal products in the parts.

    >>> shared_out(np.array([8.0, 4.0, 2.0, 1.0, 0.1]), parts=2, each=2).tolist()
    [0, 3, 1, 2]
    """
    filled: list[list[int]] = [[] for _ in range(parts)]
    products = np.zeros(parts)  # logarithms
    for place in np.argsort(-variances, kind="stable")[: parts * each]:
        part = int(products.argmin())
        filled[part].append(int(place))
        products[part] = np.inf if len(filled[part]) == each else products[part] + np.log(max(variances[place], 1e-12))
    return np.array(filled).ravel()
