"""Query-gallery similarity matrices; larger is closer."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch

from vireid.core.arrays import embedding_matrices
from vireid.core.errors import ArgumentError, UserError
from vireid.core.registries import SIMILARITIES
from vireid.layers.pairwise import squared_distances

BLOCK = 1 << 22  # search results in memory at a time


@SIMILARITIES.register
class Similarity:
    """Similarity of every query to every gallery embedding.

    Both backends compute the same matrix up to the rounding of a sum of D products.

    Args:
        metric: "cosine", the product of L2-normalized rows; or "euclidean", 1 - d^2 / 2 of the distance d. The latter
            is the cosine for L2-normalized rows and the order of the distances for others (`MODEL.NORMALIZE: false`).
        backend: "torch", one matrix product; or "faiss", a flat (exact) index that returns the complete gallery.

    Shape:
        queries (Q, D), gallery (G, D), float32 -> (Q, G) float32.

    Raises:
        ArgumentError: If faiss is chosen for a metric other than cosine.
        UserError: If faiss is not installed, or if the arrays do not fit.

    Source:
        "euclidean": MPANet (Wu et al., CVPR 2021), whose release compares the embeddings of RegDB without
        normalization.

    Example:
        >>> Similarity()(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5], [1.0, 0.0]])).tolist()
        [[0.5, 1.0]]
        >>> Similarity(metric="euclidean")(np.array([[1.0, 0.0]]), np.array([[2.0, 0.0], [1.0, 0.0]])).tolist()
        [[0.5, 1.0]]
    """

    example: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        *,
        metric: Literal["cosine", "euclidean"] = "cosine",
        backend: Literal["torch", "faiss"] = "torch",
    ) -> None:
        if (metric, backend) not in _MATRICES:
            valid = [name for name, of_backend in _MATRICES if of_backend == backend]
            raise ArgumentError("metric", f"must be one of {valid} for backend {backend!r}, got {metric!r}")
        self.metric, self.backend = metric, backend
        self._matrix = _MATRICES[metric, backend]

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        sides = embedding_matrices(queries, gallery)
        return self._matrix(*(np.ascontiguousarray(rows, dtype=np.float32) for rows in sides))


def _cosine(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    return (torch.from_numpy(queries) @ torch.from_numpy(gallery).T).numpy()


def _euclidean(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    return (1 - squared_distances(torch.from_numpy(queries), torch.from_numpy(gallery)) / 2).numpy()


def _faiss_cosine(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    try:
        import faiss
    except ImportError as missing:
        raise UserError(
            "SIMILARITY.BACKEND = 'faiss' needs the package faiss: pip install faiss-cpu, or set BACKEND torch"
        ) from missing

    index = faiss.IndexFlatIP(gallery.shape[1])
    index.add(gallery)
    matrix = np.full((len(queries), len(gallery)), np.nan, dtype=np.float32)
    step = max(1, BLOCK // len(gallery))
    for start in range(0, len(queries), step):
        scores, ids = index.search(queries[start : start + step], len(gallery))
        np.put_along_axis(matrix[start : start + step], ids, scores, axis=1)
    return matrix


_MATRICES = {
    ("cosine", "torch"): _cosine,
    ("euclidean", "torch"): _euclidean,
    ("cosine", "faiss"): _faiss_cosine,
}
