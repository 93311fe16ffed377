"""The best columns of each row, in an order that does not depend on the platform."""

from __future__ import annotations

import numpy as np
from torch import Tensor


def largest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(N, M), k <= M -> the k largest values of each row and their columns, (N, k); equal ones by column.

    `topk` does not promise that order, nor which of several equal values it keeps: rows with ties are sorted again.

    >>> import torch
    >>> largest(torch.tensor([[1.0, 3.0, 3.0, 2.0]]), 2)[1].tolist()
    [[1, 2]]
    """
    found = values.topk(min(k + 1, values.shape[1]), dim=1)
    tied = (found.values[:, 1:] == found.values[:, :-1]).any(dim=1).nonzero()[:, 0]
    best, ids = found.values[:, :k], found.indices[:, :k]
    if len(tied):
        again = values[tied].argsort(dim=1, descending=True, stable=True)[:, :k]
        ids[tied], best[tied] = again, values[tied].gather(1, again)
    return best, ids


def ordered(scores: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same answers (Q, K) with equal scores ordered by id, and -inf where the id is -1."""
    scores = np.where(ids < 0, -np.inf, scores)
    order = np.lexsort((ids, -scores), axis=1)
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)
