"""faiss indexes that store embeddings uncompressed: flat, inverted lists, graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from vireid.core.errors import ArgumentError
from vireid.core.registries import INDEXES
from vireid.retrieval.index.faiss_base import Device, FaissIndex, flat_parameters
from vireid.retrieval.index.faiss_gpu import import_faiss

PER_LIST = 39  # embeddings that k-means needs for each center; faiss warns below
SAMPLE = 128  # embeddings for each center that k-means is trained on at most
ROUNDS = 10  # iterations of k-means


@INDEXES.register
class FaissFlat(FaissIndex):
    """Exact search with a flat faiss index: all dot products.

    Args:
        device: Where the index is stored; "auto" is the GPU if there is one and faiss works on it.

    Example:
        >>> index = FaissFlat(device="cpu")
        >>> index.add(np.array([[1.0, 0.0], [0.0, 1.0]]))
        >>> index.search(np.array([[0.0, 2.0]]), k=2)[1].tolist()
        [[1, 0]]
    """

    exhaustive = True

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
    """Inverted lists around k-means centers (faiss `IndexIVFFlat`); a query searches the lists of the nearest centers.

    Embeddings are stored uncompressed. Below 78 embeddings there is one list, and the search is exact.

    Args:
        lists: Number of lists; 0 is 4 sqrt(G), at most one for 39 embeddings.
        probes: Number of lists that a query searches; as many as `lists` makes the search exact.
        device: As in `FaissFlat`.

    Example:
        >>> index = FaissIVF(probes=4, device="cpu")
        >>> index.add(np.array([[1.0, 0.0], [0.0, 1.0]]))
        >>> index.search(np.array([[0.0, 2.0]]), k=2)[1].tolist()
        [[1, 0]]
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
    """Graph of nearest neighbors (HNSW, faiss `IndexHNSWFlat`). Embeddings are stored uncompressed; CPU only.

    Args:
        links: Number of links of each image.
        build_effort: Number of candidates kept while building (efConstruction).
        search_effort: Number of candidates kept while searching (efSearch).

    Example:
        >>> index = FaissHNSW(links=4)
        >>> index.add(np.array([[1.0, 0.0], [0.0, 1.0]]))
        >>> index.search(np.array([[0.0, 2.0]]), k=2)[1].tolist()
        [[1, 0]]
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


def lists_for(number: int, lists: int) -> int:
    """Return the number of lists for a gallery of this size.

    >>> lists_for(10_000, 0), lists_for(78, 0), lists_for(10_000, 16)
    (256, 2, 16)
    """
    return max(1, min(lists or round(4 * number**0.5), number // PER_LIST))


def trained(index: Any, rows: np.ndarray, inverted: Any) -> Any:
    """Train the index by k-means on a sample of the rows, the same sample each time."""
    inverted.cp.niter, inverted.cp.max_points_per_centroid = ROUNDS, SAMPLE
    index.train(chosen(rows, max(SAMPLE * inverted.nlist, 1 << 15)))
    return index


def chosen(rows: np.ndarray, number: int) -> np.ndarray:
    """Sample at most `number` rows, the same each time."""
    if len(rows) <= number:
        return rows
    return rows[np.sort(np.random.default_rng(0).choice(len(rows), number, replace=False))]


def at_least(least: int, **argument: int) -> int:
    """Return the value of the one argument; UserError with its name if it is below `least`."""
    ((name, value),) = argument.items()
    if value < least:
        raise ArgumentError(name, f"must be at least {least}, got {value}")
    return value
