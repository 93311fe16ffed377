"""Pairing of rows of the same identity, independent of their order in the batch."""

from __future__ import annotations

import torch
from torch import Tensor


def ranks(same: Tensor, key: Tensor) -> Tensor:
    """Rank of each row within its group, by ascending key; equal keys in the order of rows.

    Shape:
        same (N, N) bool, key (N,) -> (N,) int64, from 0.
    """
    position = torch.arange(len(key), device=key.device)
    earlier = (key.unsqueeze(0) < key.unsqueeze(1)) | (
        (key.unsqueeze(0) == key.unsqueeze(1)) & (position < position[:, None])
    )
    return (same & earlier).sum(dim=1)


def partners(first: Tensor, second: Tensor, labels: Tensor, index: Tensor) -> Tensor:
    """Pair the r-th row of each identity in `first` with its r-th row in `second`, ordered by `index`.

    Two copies of one image have the same index and keep their order.

    Shape:
        first (N,) bool, second (N,) bool, labels (N,), index (N,) row in the dataset -> (N, N) bool, at most one True
        in each row of `first`, none in other rows or where the identity has fewer rows in `second`.
    """
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    first_ranks = ranks(same & first.unsqueeze(0), index)
    second_ranks = ranks(same & second.unsqueeze(0), index)
    pairs = same & first.unsqueeze(1) & second.unsqueeze(0)
    return pairs & (first_ranks.unsqueeze(1) == second_ranks.unsqueeze(0))


def follow(pairs: Tensor, values: Tensor) -> Tensor:
    """Gather the values of the partner of each row, zeros without a partner: (N, N) bool, (N, D) -> (N, D)."""
    row = pairs.to(torch.uint8).argmax(dim=1)
    return values[row] * pairs.any(dim=1, keepdim=True)
