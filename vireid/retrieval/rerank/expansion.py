"""Descriptors that take in those of their neighbours: of queries, or of the gallery before anybody asks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vireid.core.errors import UserError
from vireid.core.interfaces import Reranker
from vireid.core.registries import RERANKERS
from vireid.retrieval.rerank.sides import directed

BLOCK = 1 << 24  # similarities that exist at a time


@RERANKERS.register(then=RERANKERS)
class QueryExpansion:
    """Alpha query expansion: a query becomes the unit sum of itself and its k best answers, by similarity^alpha.

    `k`: answers that are taken in. `alpha`: 0 is the plain average; the larger, the less far answers count.
    `then`: re-ranking of the expanded queries; plain dot products where none is named.

    Shapes: (Q, D), (G, D), rows of any length -> (Q, G) float, larger is closer.
    Source: Radenovic, Tolias, Chum (TPAMI 2019), section on alpha-weighted query expansion.
    """

    def __init__(self, *, k: int = 5, alpha: float = 3.0, then: Reranker | None = None) -> None:
        self.k, self.alpha, self.then = _checked_k(k), _checked_alpha(alpha), then

    @property
    def description(self) -> str:
        """How tables name it."""
        return f"alpha query expansion (k {self.k}, alpha {self.alpha:g})" + _also(self.then)

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        sides = [_unit(torch.from_numpy(rows)) for rows in directed(queries, gallery)]
        return _compared(expanded(sides[0], sides[1], self.k, self.alpha), sides[1], self.then)


@RERANKERS.register(then=RERANKERS)
class DatabaseAugmentation:
    """A gallery image becomes the unit sum of itself and its k nearest gallery images, each times similarity^alpha.

    `then`: re-ranking with the changed gallery, for example `QueryExpansion`; plain dot products where none is named.

    Shapes: (Q, D), (G, D), rows of any length -> (Q, G) float, larger is closer.
    Source: Turcot, Lowe (ICCV workshops 2009), with the weights of alpha query expansion.
    """

    def __init__(self, *, k: int = 5, alpha: float = 3.0, then: Reranker | None = None) -> None:
        self.k, self.alpha, self.then = _checked_k(k), _checked_alpha(alpha), then

    @property
    def description(self) -> str:
        """How tables name it."""
        return f"database augmentation (k {self.k}, alpha {self.alpha:g})" + _also(self.then)

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        sides = [_unit(torch.from_numpy(rows)) for rows in directed(queries, gallery)]
        return _compared(sides[0], expanded(sides[1], sides[1], self.k, self.alpha, itself=True), self.then)


def expanded(rows: Tensor, gallery: Tensor, k: int, alpha: float, *, itself: bool = False) -> Tensor:
    """(N, D) unit sums of unit rows and their k most similar gallery rows; `itself`: the rows are the gallery.

    An answer with a similarity below 0 counts nothing.
    """
    out, step = torch.empty_like(rows), max(1, BLOCK // len(gallery))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        similar = block @ gallery.T
        if itself:
            similar[torch.arange(len(block)), torch.arange(start, start + len(block))] = -torch.inf
        best = similar.topk(min(k, len(gallery) - itself), dim=1)
        weights = torch.where(best.values > 0, best.values.clamp_min(0).pow(alpha), 0)
        out[start : start + step] = block + torch.einsum("nk,nkd->nd", weights, gallery[best.indices])
    return _unit(out)


def _compared(queries: Tensor, gallery: Tensor, then: Reranker | None) -> np.ndarray:
    return then(queries.numpy(), gallery.numpy()) if then is not None else (queries @ gallery.T).numpy()


def _unit(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows, dim=1)


def _also(then: Reranker | None) -> str:
    return f", then {then.description}" if then is not None else ""


def _checked_k(k: int) -> int:
    if k < 1:
        raise UserError(f"k must be at least 1, got {k}")
    return k


def _checked_alpha(alpha: float) -> float:
    if alpha < 0:
        raise UserError(f"alpha must be at least 0, got {alpha:g}")
    return alpha
