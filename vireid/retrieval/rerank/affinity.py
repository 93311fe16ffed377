"""Affinity inference: compare two images by their similarities to the gallery."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from vireid.core.errors import ArgumentError
from vireid.core.registries import RERANKERS
from vireid.retrieval.best import top_k
from vireid.retrieval.rerank.k_reciprocal import Sparse
from vireid.retrieval.rerank.sides import rescale_embeddings

BLOCK = 1 << 22  # similarities in memory at a time


@RERANKERS.register
class AffinityInference:
    """Re-rank by affinity inference (AIM): the cosine similarity and that of the rows of similarities to the gallery.

    An image is described by its k1 largest cosine similarities to gallery images, a sparse row over the gallery. The
    row of a gallery image is averaged over its k2 most similar gallery images. Rows are L2-normalized, and the result
    is their product plus the cosine similarity. A query does not depend on other queries.

    Args:
        k1: Number of similarities that are kept; those equal to the k1-th as well.
        k2: Number of gallery images over which a gallery row is averaged, the image itself included.
        chosen_on: Data on which k1 and k2 were chosen, such as "the test set": a condition of the results.

    Shape:
        queries (Q, D), gallery (G, D), rows of any norm -> (Q, G) float, larger is closer.

    Raises:
        ArgumentError: If k1 or k2 is below 1, or k2 above k1.
        UserError: For embeddings that are not two matrices of the same width.
        DataError: For embeddings that are not finite.

    Source:
        SAAI (Fang et al., ICCV 2023), its release.

    Departs:
        Sparse rows in blocks, in place of a G x k2 x G tensor. In a gallery of fewer than k1 images all similarities
        are kept, where the release fails.

    Example:
        >>> queries, gallery = np.array([[1.0, 0.0]]), np.array([[0.8, 0.6], [0.0, 1.0], [1.0, 0.1]])
        >>> AffinityInference(k1=2, k2=1)(queries, gallery).argmax(axis=1).tolist()
        [2]
    """

    transductive = "the gallery"

    def __init__(self, *, k1: int = 4, k2: int = 1, chosen_on: str = "") -> None:
        for name, value in (("k1", k1), ("k2", k2)):
            if value < 1:
                raise ArgumentError(name, f"must be at least 1, got {value}")
        if k2 > k1:
            raise ArgumentError("k2", f"must be at most k1 ({k1}), got {k2}")
        self.k1, self.k2, self.chosen_on = k1, k2, chosen_on

    @property
    def description(self) -> str:
        """Name and arguments, as tables and conditions print them."""
        return f"affinity inference (k1 {self.k1}, k2 {self.k2})"

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        left, right = (
            torch.nn.functional.normalize(torch.from_numpy(rows), dim=1, eps=1e-12)
            for rows in rescale_embeddings(queries, gallery)
        )
        of_gallery, nearest_rows = self._affinity(right, right)
        if self.k2 > 1:
            of_gallery = _mean(of_gallery, nearest_rows)
        of_gallery = _unit(of_gallery).T.tocsr()
        out = np.empty((len(left), len(right)), left.numpy().dtype)
        step = max(1, BLOCK // len(right))
        for start in range(0, len(left), step):
            rows = left[start : start + step]
            affinity = _unit(self._affinity(rows, right)[0])
            out[start : start + step] = (rows @ right.T).numpy()
            out[start : start + step] += (affinity @ of_gallery).toarray()
        return out

    def _affinity(self, rows: Tensor, gallery: Tensor) -> tuple[Sparse, np.ndarray]:
        """The kept similarities of rows to the gallery, (N, G) sparse, and their k2 most similar images (N, k2)."""
        step, parts, nearest_rows = max(1, BLOCK // len(gallery)), [], []
        for start in range(0, len(rows), step):
            similar = rows[start : start + step] @ gallery.T
            best, ids = top_k(similar, min(self.k1, len(gallery)))
            kept = (similar >= best[:, -1:]).nonzero().numpy()
            values = similar.numpy()[kept[:, 0], kept[:, 1]]
            parts.append(sparse.csr_matrix((values, kept.T), tuple(similar.shape)))
            nearest_rows.append(ids[:, : self.k2].numpy())
        return sparse.vstack(parts).tocsr(), np.concatenate(nearest_rows)


def _mean(rows: Any, of: np.ndarray) -> Sparse:
    """The mean over a list of rows for each row: (G, G) sparse, (G, k) -> (G, G) sparse."""
    number, k = of.shape
    weights = np.full(number * k, 1 / k, rows.dtype)
    return (sparse.csr_matrix((weights, of.ravel(), np.arange(0, number * k + 1, k)), (number, number)) @ rows).tocsr()


def _unit(rows: Any) -> Sparse:
    """L2-normalize the rows of a sparse matrix."""
    norms = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return (sparse.diags((1 / np.maximum(norms, 1e-12)).astype(rows.dtype)) @ rows).tocsr()
