"""Query expansion and database-side augmentation: replace an embedding by a weighted sum over its neighbors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vireid.core.errors import ArgumentError
from vireid.core.interfaces import Reranker
from vireid.core.registries import RERANKERS
from vireid.retrieval.rerank.sides import rescale_embeddings

BLOCK = 1 << 24  # similarities in memory at a time


@RERANKERS.register(then=RERANKERS)
class QueryExpansion:
    """Alpha query expansion: replace a query by the weighted sum of itself and its k best gallery images.

    The expanded query is q + sum over the k best of s^alpha g, L2-normalized, with s the cosine similarity of q and g
    (0 where s is negative).

    Args:
        k: Number of gallery images in the sum.
        alpha: Exponent of the weights. 0 is the plain average; the larger, the smaller the weight of less similar
            images.
        then: Re-ranking that runs on the expanded queries; None compares by dot products.

    Shape:
        queries (Q, D), gallery (G, D), rows of any norm -> (Q, G) float, larger is closer.

    Source:
        Radenovic, Tolias, Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2019.

    Example:
        >>> queries, gallery = np.array([[1.0, 0.0]]), np.array([[0.6, 0.8], [0.8, 0.6], [0.0, -1.0]])
        >>> QueryExpansion(k=1, alpha=0)(queries, gallery).round(2).tolist()
        [[0.82, 0.95, -0.32]]
    """

    transductive = "the gallery"

    def __init__(self, *, k: int = 5, alpha: float = 3.0, then: Reranker | None = None) -> None:
        self.k, self.alpha, self.then = _checked_k(k), _checked_alpha(alpha), then

    @property
    def description(self) -> str:
        """Name and arguments, as tables and conditions print them."""
        return f"alpha query expansion (k {self.k}, alpha {self.alpha:g})" + _also(self.then)

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        sides = [_normalize(torch.from_numpy(rows)) for rows in rescale_embeddings(queries, gallery)]
        return _compare(expand(sides[0], sides[1], self.k, self.alpha), sides[1], self.then)


@RERANKERS.register(then=RERANKERS)
class DatabaseAugmentation:
    """Database-side augmentation: replace a gallery image by a weighted sum over its k nearest gallery images.

    The image itself is in the sum with weight 1. The weights are those of alpha query expansion (`QueryExpansion`).

    Args:
        k: Number of gallery images in the sum.
        alpha: Exponent of the weights.
        then: Re-ranking that runs on the changed gallery, for example `QueryExpansion`; None compares by dot products.

    Shape:
        queries (Q, D), gallery (G, D), rows of any norm -> (Q, G) float, larger is closer.

    Source:
        Turcot, Lowe, "Better matching with fewer features", ICCV workshops 2009.

    Example:
        >>> queries, gallery = np.array([[1.0, 0.0]]), np.array([[0.6, 0.8], [0.8, 0.6], [0.0, -1.0]])
        >>> DatabaseAugmentation(k=1, alpha=0)(queries, gallery).round(2).tolist()
        [[0.71, 0.71, 0.0]]
    """

    transductive = "the gallery"

    def __init__(self, *, k: int = 5, alpha: float = 3.0, then: Reranker | None = None) -> None:
        self.k, self.alpha, self.then = _checked_k(k), _checked_alpha(alpha), then

    @property
    def description(self) -> str:
        """Name and arguments, as tables and conditions print them."""
        return f"database augmentation (k {self.k}, alpha {self.alpha:g})" + _also(self.then)

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        sides = [_normalize(torch.from_numpy(rows)) for rows in rescale_embeddings(queries, gallery)]
        return _compare(sides[0], expand(sides[1], sides[1], self.k, self.alpha, exclude_self=True), self.then)


def expand(rows: Tensor, gallery: Tensor, k: int, alpha: float, *, exclude_self: bool = False) -> Tensor:
    """Return (N, D) L2-normalized sums of normalized rows and their k most similar gallery rows.

    Gallery rows with a similarity below 0 have the weight 0.

    Args:
        rows: L2-normalized rows (N, D).
        gallery: L2-normalized rows (G, D).
        k: Number of gallery rows in the sum.
        alpha: Exponent of the weights.
        exclude_self: The rows are the gallery: a row is not its own neighbor.
    """
    out, step = torch.empty_like(rows), max(1, BLOCK // len(gallery))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        similar = block @ gallery.T
        if exclude_self:
            similar[torch.arange(len(block)), torch.arange(start, start + len(block))] = -torch.inf
        best = similar.topk(min(k, len(gallery) - exclude_self), dim=1)
        weights = torch.where(best.values > 0, best.values.clamp_min(0).pow(alpha), 0)
        out[start : start + step] = block + torch.einsum("nk,nkd->nd", weights, gallery[best.indices])
    return _normalize(out)


def _compare(queries: Tensor, gallery: Tensor, then: Reranker | None) -> np.ndarray:
    return then(queries.numpy(), gallery.numpy()) if then is not None else (queries @ gallery.T).numpy()


def _normalize(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows, dim=1)


def _also(then: Reranker | None) -> str:
    return f", then {then.description}" if then is not None else ""


def _checked_k(k: int) -> int:
    if k < 1:
        raise ArgumentError("k", f"must be at least 1, got {k}")
    return k


def _checked_alpha(alpha: float) -> float:
    if alpha < 0:
        raise ArgumentError("alpha", f"must be at least 0, got {alpha:g}")
    return alpha
