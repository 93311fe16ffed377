"""Fill the matrix of similarities, larger is closer; all fill the same one: metrics do not depend on the choice."""

from __future__ import annotations

import numpy as np
import torch

from vireid.core.errors import UserError
from vireid.core.registries import SCORERS
from vireid.layers.pairwise import squared_distances

BLOCK = 1 << 22  # search results that faiss holds at a time


@SCORERS.register
class TorchScorer:
    """Dot products by one matrix product.

    Shapes: (Q, D), (G, D) float32 unit rows -> (Q, G) float32.
    """

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        queries, gallery = _checked(queries, gallery)
        return (torch.from_numpy(queries) @ torch.from_numpy(gallery).T).numpy()


@SCORERS.register
class EuclideanScorer:
    """1 - d^2 / 2 with the Euclidean distance d: for rows of length 1 the dot product, for others the order of d.

    Shapes: (Q, D), (G, D) float32 rows of any length (`MODEL.UNIT: false`) -> (Q, G) float32.
    Source: MPANet (CVPR 2021), whose release compares descriptors on RegDB as they are.
    """

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        queries, gallery = _checked(queries, gallery)
        return (1 - squared_distances(torch.from_numpy(queries), torch.from_numpy(gallery)) / 2).numpy()


@SCORERS.register
class FaissScorer:
    """Dot products by a flat (exact) faiss index that is asked for the whole gallery.

    Shapes: (Q, D), (G, D) float32 unit rows -> (Q, G) float32.
    Equals `TorchScorer` up to the rounding of a sum of D products.
    """

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        try:
            import faiss
        except ImportError as missing:
            raise UserError(
                "FaissScorer needs the package faiss: pip install faiss-cpu, or use SCORER: {NAME: TorchScorer}"
            ) from missing

        queries, gallery = _checked(queries, gallery)
        index = faiss.IndexFlatIP(gallery.shape[1])
        index.add(gallery)
        matrix = np.full((len(queries), len(gallery)), np.nan, dtype=np.float32)
        step = max(1, BLOCK // len(gallery))
        for start in range(0, len(queries), step):
            scores, ids = index.search(queries[start : start + step], len(gallery))
            np.put_along_axis(matrix[start : start + step], ids, scores, axis=1)
        return matrix


def _checked(queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1] or 0 in gallery.shape:
        raise UserError(f"features must be (Q, D) and (G, D) with the same D, got {queries.shape} and {gallery.shape}")
    return np.ascontiguousarray(queries, dtype=np.float32), np.ascontiguousarray(gallery, dtype=np.float32)
