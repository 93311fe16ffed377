"""Query-gallery similarity matrices, larger is closer. All backends compute the same matrix up to rounding."""

from __future__ import annotations

import numpy as np
import torch

from vireid.core.errors import UserError
from vireid.core.registries import SCORERS
from vireid.layers.pairwise import squared_distances

BLOCK = 1 << 22  # search results in memory at a time


@SCORERS.register
class TorchScorer:
    """Cosine similarity by one matrix product in PyTorch.

    Shape:
        queries (Q, D), gallery (G, D), float32 L2-normalized rows -> (Q, G) float32.

    Example:
        >>> TorchScorer()(np.array([[1.0, 0.0]]), np.array([[0.6, 0.8], [1.0, 0.0]])).round(2).tolist()
        [[0.6000000238418579, 1.0]]
    """

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        queries, gallery = _check(queries, gallery)
        return (torch.from_numpy(queries) @ torch.from_numpy(gallery).T).numpy()


@SCORERS.register
class EuclideanScorer:
    """Euclidean similarity 1 - d^2 / 2: the cosine for L2-normalized rows, the order of the distance d for others.

    Shape:
        queries (Q, D), gallery (G, D), float32 rows of any norm (`MODEL.UNIT: false`) -> (Q, G) float32.

    Source:
        MPANet (Wu et al., CVPR 2021), whose release compares the embeddings of RegDB without normalization.

    Example:
        >>> EuclideanScorer()(np.array([[1.0, 0.0]]), np.array([[2.0, 0.0], [1.0, 0.0]])).tolist()
        [[0.5, 1.0]]
    """

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        queries, gallery = _check(queries, gallery)
        return (1 - squared_distances(torch.from_numpy(queries), torch.from_numpy(gallery)) / 2).numpy()


@SCORERS.register
class FaissScorer:
    """Cosine similarity by a flat (exact) faiss index that returns the complete gallery for each query.

    Equals `TorchScorer` up to the rounding of a sum of D products.

    Shape:
        queries (Q, D), gallery (G, D), float32 L2-normalized rows -> (Q, G) float32.

    Raises:
        UserError: If faiss is not installed.
    """

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        try:
            import faiss
        except ImportError as missing:
            raise UserError(
                "FaissScorer needs the package faiss: pip install faiss-cpu, or use SCORER: {NAME: TorchScorer}"
            ) from missing

        queries, gallery = _check(queries, gallery)
        index = faiss.IndexFlatIP(gallery.shape[1])
        index.add(gallery)
        matrix = np.full((len(queries), len(gallery)), np.nan, dtype=np.float32)
        step = max(1, BLOCK // len(gallery))
        for start in range(0, len(queries), step):
            scores, ids = index.search(queries[start : start + step], len(gallery))
            np.put_along_axis(matrix[start : start + step], ids, scores, axis=1)
        return matrix


def _check(queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1] or 0 in gallery.shape:
        raise UserError(
            f"embeddings must be (Q, D) and (G, D) with the same D, got {queries.shape} and {gallery.shape}"
        )
    return np.ascontiguousarray(queries, dtype=np.float32), np.ascontiguousarray(gallery, dtype=np.float32)
