"""The faiss indexes by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from vireid.core.errors import UserError
from vireid.core.registries import INDEXES
from vireid.retrieval.index.faiss_base import Device, FaissIndex, flat_parameters
from vireid.retrieval.index.faiss_gpu import import_faiss

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
        return import_faiss().IndexFlatIP(rows.shape[1])

    def _parameters(self, selector: Any) -> Any:
        return flat_parameters(selector)


@INDEXES.register
class FaissIVF(FaissIndex):
    """The gallery in lists around centres; a query looks into the lists of the nearest centres. Vectors are kept whole.

    `lists`: 0 is 4 sqrt(G), at most one for 39 vectors. `probes`: lists that a query looks into; all of them make the
    search exact. Below 78 vectors there is one list: the search is exact.
    """

    least = 2 * PER_LIST

    def __init__(self, *, lists: int = 0, probes: int = 32, device: Device = "auto") -> None:
        self.lists, self.probes = at_least(0, lists=lists), at_least(1, probes=probes)
        super().__init__(device=device)

    def _named(self) -> str:
        return f"inverted lists ({self.probes} probed)"

    def _empty(self, rows: np.ndarray) -> Any:
        faiss, width = import_faiss(), rows.shape[1]
        index = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(width), width, lists_for(len(rows), self.lists), faiss.METRIC_INNER_PRODUCT
        )
        return trained(index, rows, index)

    def _parameters(self, selector: Any) -> Any:
        return import_faiss().SearchParametersIVF(nprobe=self.probes, sel=selector)


@INDEXES.register
class FaissHNSW(FaissIndex):
    """A graph of neighbours that a query walks along. Vectors are kept whole; on the CPU only.

    `links` of each image, `build_effort` and `search_effort`: candidates that are kept while building and searching.
    """

    on_gpu = False

    def __init__(self, *, links: int = 32, build_effort: int = 80, search_effort: int = 64) -> None:
        self.links = at_least(2, links=links)
        self.build_effort = at_least(1, build_effort=build_effort)
        self.search_effort = at_least(1, search_effort=search_effort)
        super().__init__(device="cpu")

    def _named(self) -> str:
        return f"graph (links {self.links}, search effort {self.search_effort})"

    def _empty(self, rows: np.ndarray) -> Any:
        faiss = import_faiss()
        index = faiss.IndexHNSWFlat(rows.shape[1], self.links, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = self.build_effort
        return index

    def _parameters(self, selector: Any) -> Any:
        return import_faiss().SearchParametersHNSW(efSearch=self.search_effort, sel=selector)


def lists_for(number: int, asked: int) -> int:
    """How many lists a gallery of this size has."""
    return max(1, min(asked or round(4 * number**0.5), number // PER_LIST))


def trained(index: Any, rows: np.ndarray, inverted: Any) -> Any:
    """The index after k-means over a sample of the rows, the same each time."""
    inverted.cp.niter, inverted.cp.max_points_per_centroid = ROUNDS, SAMPLE
    index.train(chosen(rows, max(SAMPLE * inverted.nlist, 1 << 15)))
    return index


def chosen(rows: np.ndarray, number: int) -> np.ndarray:
    """At most `number` rows, the same each time."""
    if len(rows) <= number:
        return rows
    return rows[np.sort(np.random.default_rng(0).choice(len(rows), number, replace=False))]


def at_least(least: int, **argument: int) -> int:
    """The one argument's value; UserError with its name where it is less."""
    ((name, value),) = argument.items()
    if value < least:
        raise UserError(f"{name} must be at least {least}, got {value}")
    return value
