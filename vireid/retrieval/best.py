"""Top-k selection with an order of ties that does not depend on the platform."""

from __future__ import annotations

import numpy as np
from torch import Tensor


def top_k(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Select the k largest values of each row; equal values are ordered by column.

    `torch.topk` guarantees neither this order nor which of several equal values it keeps, so rows with ties are sorted
    again.

    Shape:
        values (N, M), k <= M -> values (N, k) and columns (N, k).

    Example:
        >>> import torch
        >>> top_k(torch.tensor([[1.0, 3.0, 3.0, 2.0]]), 2)[1].tolist()
        [[1, 2]]
    """
    top = values.topk(min(k + 1, values.shape[1]), dim=1)
    tied = (top.values[:, 1:] == top.values[:, :-1]).any(dim=1).nonzero()[:, 0]
    best, ids = top.values[:, :k], top.indices[:, :k]
    if len(tied):
        order = values[tied].argsort(dim=1, descending=True, stable=True)[:, :k]
        ids[tied], best[tied] = order, values[tied].gather(1, order)
    return best, ids


def order_ties(scores: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Order equal scores (Q, K) by id; the score is -inf where the id is -1.

    >>> order_ties(np.array([[0.9, 0.5, 0.5]]), np.array([[4, 7, 2]]))[1].tolist()
    [[4, 2, 7]]
    """
    scores = np.where(ids < 0, -np.inf, scores)
    order = np.lexsort((ids, -scores), axis=1)
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)
