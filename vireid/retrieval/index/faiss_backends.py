"""The faiss indexes by name."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from vireid.core.errors import UserError
from vireid.core.registries import INDEXES
from vireid.retrieval.index.faiss_base import Device, FaissIndex
from vireid.retrieval.index.faiss_cards import the_faiss

PER_LIST = 39  # vectors that k-means wants for each centre at least; faiss warns below
SAMPLE = 128  # vectors for each centre that it is trained on at most
ROUNDS = 10  # of k-means


@INDEXES.register
class FaissFlat(FaissIndex):
    """Exact search: all dot products."""

    whole = True

    def __init__(self, *, device: Device = "auto") -> None:
        super().__init__(device=device)

    def _named(self) -> str:
        return "exact search (faiss)"

    def _empty(self, rows: np.ndarray) -> Any:
        return the_faiss().IndexFlatIP(rows.shape[1])

    def _parameters(self, selector: Any) -> Any:
        return None if selector is None else the_faiss().SearchParameters(sel=selector)


@INDEXES.register
class FaissIVF(FaissIndex):
    """The gallery in lists around centres; a query looks into the lists of the nearest centres. Vectors are kept whole.

    `lists`: 0 is 4 sqrt(G), at most one for 39 vectors. `probes`: lists that a query looks into; all of them make the
    search exact.
    """

    def __init__(self, *, lists: int = 0, probes: int = 32, device: Device = "auto") -> None:
        self.lists, self.probes = _at_least(0, lists=lists), _at_least(1, probes=probes)
        super().__init__(device=device)

    def _named(self) -> str:
        return f"inverted lists ({self.probes} probed)"

    def _empty(self, rows: np.ndarray) -> Any:
        faiss, width = the_faiss(), rows.shape[1]
        index = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(width), width, lists_for(len(rows), self.lists), faiss.METRIC_INNER_PRODUCT
        )
        return trained(index, rows, index)

    def _parameters(self, selector: Any) -> Any:
        return the_faiss().SearchParametersIVF(nprobe=self.probes, sel=selector)


@INDEXES.register
class FaissHNSW(FaissIndex):
    """A graph of neighbours that a query walks along. Vectors are kept whole; on the CPU only.

    `links` of each image, `build_effort` and `search_effort`: candidates that are kept while building and searching.
    """

    on_cards = False

    def __init__(self, *, links: int = 32, build_effort: int = 80, search_effort: int = 64) -> None:
        self.links = _at_least(2, links=links)
        self.build_effort = _at_least(1, build_effort=build_effort)
        self.search_effort = _at_least(1, search_effort=search_effort)
        super().__init__(device="cpu")

    def _named(self) -> str:
        return f"graph (links {self.links}, search effort {self.search_effort})"

    def _empty(self, rows: np.ndarray) -> Any:
        faiss = the_faiss()
        index = faiss.IndexHNSWFlat(rows.shape[1], self.links, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = self.build_effort
        return index

    def _parameters(self, selector: Any) -> Any:
        return the_faiss().SearchParametersHNSW(efSearch=self.search_effort, sel=selector)


@INDEXES.register
class FaissIVFPQ(FaissIndex):
    """Inverted lists whose vectors are kept as short codes: for galleries that do not fit in memory whole.

    `code_bytes` of a vector. `opq`: vectors are rotated before, so that codes lose less (Ge et al., CVPR 2013).
    `lists`, `probes`: as in `FaissIVF`.
    Errors: UserError for a width that `code_bytes` does not divide, without `opq`; with it the rotation also makes the
    width fit.
    """

    example: ClassVar[dict] = {"code_bytes": 4}
    on_cards = False  # cards take other code lengths and no rotation: an index must not depend on the machine

    def __init__(self, *, lists: int = 0, probes: int = 32, code_bytes: int = 64, opq: bool = True) -> None:
        self.lists, self.probes = _at_least(0, lists=lists), _at_least(1, probes=probes)
        self.code_bytes, self.opq = _at_least(1, code_bytes=code_bytes), opq
        super().__init__(device="cpu")

    def _named(self) -> str:
        rotated = ", rotated" if self.opq else ""
        return f"inverted lists of codes ({self.code_bytes} bytes{rotated}, {self.probes} probed)"

    def _empty(self, rows: np.ndarray) -> Any:
        faiss, width = the_faiss(), rows.shape[1]
        inner = width - width % self.code_bytes if self.opq else width
        if inner % self.code_bytes or inner == 0:
            raise UserError(f"code_bytes {self.code_bytes} does not divide the width {width}: choose one that does")
        bits = min(8, int(np.log2(max(len(rows) // PER_LIST, 2))))
        lists = lists_for(len(rows), self.lists)
        codes = faiss.IndexIVFPQ(
            faiss.IndexFlatIP(inner), inner, lists, self.code_bytes, bits, faiss.METRIC_INNER_PRODUCT
        )
        codes.pq.cp.niter = ROUNDS
        if not self.opq:
            return trained(codes, rows, codes)
        rotation = faiss.OPQMatrix(width, self.code_bytes, inner)
        rotation.niter, rotation.niter_pq, rotation.max_train_points = ROUNDS, 4, 1 << 15
        quantizer = faiss.ProductQuantizer(inner, self.code_bytes, bits)  # faiss's own always wants 256 centres
        rotation.pq = quantizer
        index = trained(faiss.IndexPreTransform(rotation, codes), rows, codes)
        rotation.pq = None
        return index

    def _parameters(self, selector: Any) -> Any:
        faiss = the_faiss()
        inner = faiss.SearchParametersIVF(nprobe=self.probes, sel=selector)
        return faiss.SearchParametersPreTransform(index_params=inner) if self.opq else inner


def lists_for(number: int, asked: int) -> int:
    """How many lists a gallery of this size has."""
    return max(1, min(asked or round(4 * number**0.5), number // PER_LIST))


def trained(index: Any, rows: np.ndarray, inverted: Any) -> Any:
    """The index after k-means over a sample of the rows, the same each time."""
    inverted.cp.niter, inverted.cp.max_points_per_centroid = ROUNDS, SAMPLE
    wanted = max(SAMPLE * inverted.nlist, 1 << 15)
    few = rows
    if len(rows) > wanted:
        few = rows[np.sort(np.random.default_rng(0).choice(len(rows), wanted, replace=False))]
    index.train(few)
    return index


def _at_least(least: int, **argument: int) -> int:
    ((name, value),) = argument.items()
    if value < least:
        raise UserError(f"{name} must be at least {least}, got {value}")
    return value
