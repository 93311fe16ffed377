"""faiss indexes of product-quantized codes, for less memory or faster search."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

import numpy as np

from vireid.core.errors import UserError, nearest
from vireid.core.registries import INDEXES
from vireid.retrieval.index.faiss_backends import PER_LIST, ROUNDS, at_least, chosen, lists_for, trained
from vireid.retrieval.index.faiss_base import FaissIndex
from vireid.retrieval.index.faiss_gpu import import_faiss

Rotation = Literal["principal", "opq", "none"]
LEAST = 8  # smallest default of the number of lists that a query searches
CENTERS = 80  # embeddings for each center of a code that it is trained on at most
SMALLEST = 16 * PER_LIST  # embeddings that codes of four bits need; fewer are searched exactly


@INDEXES.register
class FaissIVFPQ(FaissIndex):
    """Inverted lists of product-quantized codes (faiss `IndexIVFPQ`), for galleries larger than memory.

    Codes are compared by their distance to the query, not by the dot product: a code that loses information is shorter,
    and the distance accounts for this. Scores are the cosines that follow from these distances. Fewer than 624
    embeddings are stored uncompressed and searched exactly.

    Args:
        lists: As in `FaissIVF`.
        probes: As in `FaissIVF`.
        code_bytes: Bytes of a code, in addition to eight for its id; at most one for each dimension.
        rotation: Linear transform before coding, which reduces the loss. "principal": principal components, distributed
            so that each byte codes about as much variance (the parametric solution of Ge et al., "Optimized Product
            Quantization", CVPR 2013); "opq": learned (takes minutes); "none": embeddings are coded as they are.
        directions: Number of dimensions after the rotation; 0 is two for each byte.

    Raises:
        UserError: If `code_bytes` does not divide the width of the codes.

    Example:
        >>> index = FaissIVFPQ(code_bytes=2)
        >>> index.add(np.array([[1.0, 0.0], [0.0, 1.0]]))
        >>> index.search(np.array([[0.0, 2.0]]), k=2)[1].tolist()
        [[1, 0]]
    """

    example: ClassVar[dict] = {"code_bytes": 4}
    least = SMALLEST
    keeps_vectors = False
    on_gpu = False  # GPU indexes allow other code lengths and no rotation: an index must not depend on the machine

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
            raise UserError("directions needs a rotation: leave it out, or choose rotation 'principal' or 'opq'")
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
        codes.pq.cp.niter, codes.pq.cp.max_points_per_centroid = ROUNDS, CENTERS
        codes.use_precomputed_table = -1  # the table may be several times as large as the codes
        if self.rotation == "none":
            return trained(codes, rows, codes)
        turn = self._turn(rows, inner, bits)
        return trained(faiss.IndexPreTransform(turn, codes), rows, codes)

    @property
    def limit(self) -> int | None:
        """As in the base class; lower if more embeddings allow codes of more bits than the training had."""
        limit = super().limit
        if not limit or not self._trained_on or (bits := code_bits(self._trained_on)) == 8:
            return limit
        return min(limit, 2 ** (bits + 1) * PER_LIST - 1)

    def check_width(self, width: int) -> None:
        self._coded(width)

    def _bytes(self, width: int) -> int:
        """Bytes of a code: no part of a code covers less than one dimension."""
        return min(self.code_bytes, width)

    def _coded(self, width: int) -> int:
        """Number of dimensions that are coded."""
        parts = self._bytes(width)
        divisible = width - width % parts
        inner = width if self.rotation == "none" else min(self.directions or 2 * parts, divisible)
        if inner % parts or inner == 0:
            what = "directions" if self.directions and divisible else "the width"
            raise UserError(f"code_bytes {parts} does not divide {what} {inner or width}: choose one that does")
        return inner

    def _turn(self, rows: np.ndarray, inner: int, bits: int) -> Any:
        faiss, sample = import_faiss(), chosen(rows, max(1 << 15, 4 * rows.shape[1]))
        parts = self._bytes(rows.shape[1])
        if self.rotation == "opq":
            turn = faiss.OPQMatrix(rows.shape[1], parts, inner)
            turn.niter, turn.niter_pq, turn.max_train_points = ROUNDS, 4, 1 << 15
            quantizer = faiss.ProductQuantizer(inner, parts, bits)  # the default of faiss always has 256 centers
            turn.pq = quantizer
            turn.train(sample)
            turn.pq = None
            return turn
        variances, directions = np.linalg.eigh(np.atleast_2d(np.cov(sample.T)))
        order = balanced_partition(variances, parts, inner // parts)
        turn = faiss.LinearTransform(rows.shape[1], inner, False)
        faiss.copy_array_to_vector(directions.T[order].astype(np.float32).ravel(), turn.A)
        turn.is_trained = True
        return turn

    def _parameters(self, selector: Any) -> Any:
        faiss = import_faiss()
        inner = faiss.SearchParametersIVF(nprobe=self.probes, sel=selector)
        return inner if self.rotation == "none" else faiss.SearchParametersPreTransform(index_params=inner)

    def _cosines(self, scores: np.ndarray) -> np.ndarray:
        return 1 - scores / 2


@INDEXES.register
class FaissIVFRefined(FaissIndex):
    """Inverted lists of four-bit codes (faiss `IndexIVFPQFastScan`) with exact re-ranking of the best candidates.

    Embeddings are stored uncompressed in addition to their codes. Fewer than 624 embeddings are searched exactly.

    Args:
        lists: As in `FaissIVF`.
        probes: Number of lists that a query searches; 0 is a fifth of the lists, at least 8.
        code_bytes: Bytes of a code, two codes for each byte; 0 is one code for every four dimensions, or the nearest
            smaller number that divides the width.
        refine: Number of candidates that are compared exactly, as a multiple of k.

    Raises:
        UserError: If twice `code_bytes` does not divide the width.

    Example:
        >>> index = FaissIVFRefined()
        >>> index.add(np.array([[1.0, 0.0], [0.0, 1.0]]))
        >>> index.search(np.array([[0.0, 2.0]]), k=2)[1].tolist()
        [[1, 0]]
    """

    example: ClassVar[dict] = {"code_bytes": 2}
    least = SMALLEST
    on_gpu = False  # faiss supports these codes on the CPU only

    def __init__(self, *, lists: int = 0, probes: int = 0, code_bytes: int = 0, refine: int = 8) -> None:
        self.lists, self.probes = at_least(0, lists=lists), at_least(0, probes=probes)
        self.code_bytes, self.refine = at_least(0, code_bytes=code_bytes), at_least(1, refine=refine)
        super().__init__(device="cpu")

    def _named(self) -> str:
        return f"inverted lists of fast codes ({self.probes or 'a fifth'} probed, {self.refine} k compared whole)"

    def _empty(self, rows: np.ndarray) -> Any:
        faiss, width = import_faiss(), rows.shape[1]
        parts = self._parts(width)
        centers = faiss.IndexFlatIP(width)
        codes = faiss.IndexIVFPQFastScan(
            centers, width, lists_for(len(rows), self.lists), parts, 4, faiss.METRIC_INNER_PRODUCT
        )
        codes.pq.cp.niter = ROUNDS
        return trained(faiss.IndexRefineFlat(codes), rows, codes)

    def check_width(self, width: int) -> None:
        self._parts(width)

    def _parts(self, width: int) -> int:
        """Number of codes of an embedding."""
        if self.code_bytes == 0:
            return next(parts for parts in range(max(1, width // 4), 0, -1) if width % parts == 0)
        parts = 2 * self.code_bytes
        if width % parts:
            raise UserError(f"twice code_bytes, {parts}, does not divide the width {width}: choose one that does")
        return parts

    def _stored(self, index: Any) -> np.ndarray:
        flat = import_faiss().downcast_index(index.refine_index)
        return flat.reconstruct_n(0, flat.ntotal)

    def _parameters(self, selector: Any) -> Any:
        faiss = import_faiss()
        probes = self.probes or max(LEAST, -(-faiss.extract_index_ivf(self._index).nlist // 5))
        inner = faiss.SearchParametersIVF(nprobe=probes, sel=selector)
        return faiss.IndexRefineSearchParameters(k_factor=self.refine, base_index_params=inner)


def code_bits(number: int) -> int:
    """Return the bits of a code that this many embeddings can train, at most 8.

    >>> [code_bits(n) for n in (624, 1247, 1248, 9984, 100_000)]
    [4, 4, 5, 8, 8]
    """
    return min(8, int(np.log2(max(number // PER_LIST, 2))))


def balanced_partition(variances: np.ndarray, parts: int, each: int) -> np.ndarray:
    """Distribute the largest variances over parts with about equal products: (D,) -> (parts * each,) indices.

    >>> balanced_partition(np.array([8.0, 4.0, 2.0, 1.0, 0.1]), parts=2, each=2).tolist()
    [0, 3, 1, 2]
    """
    groups: list[list[int]] = [[] for _ in range(parts)]
    products = np.zeros(parts)  # logarithms
    for place in np.argsort(-variances, kind="stable")[: parts * each]:
        part = int(products.argmin())
        groups[part].append(int(place))
        products[part] = np.inf if len(groups[part]) == each else products[part] + np.log(max(variances[place], 1e-12))
    return np.array(groups).ravel()
