"""Which row stands beside which other row of the same identity, whatever their order."""

from __future__ import annotations

import torch
from torch import Tensor


def ranks(same: Tensor, key: Tensor) -> Tensor:
    """Place of each row among the rows of its group, by ascending key; equal keys in the order of rows.

    Shapes: (N, N) bool, (N,) -> (N,) int64, 0 for the first.
    """
    place = torch.arange(len(key), device=key.device)
    earlier = (key.unsqueeze(0) < key.unsqueeze(1)) | (
        (key.unsqueeze(0) == key.unsqueeze(1)) & (place < place[:, None])
    )
    return (same & earlier).sum(dim=1)


def partners(first: Tensor, second: Tensor, labels: Tensor, index: Tensor) -> Tensor:
    """Pairs of rows: the r-th of an identity among `first` and its r-th among `second`, counted by `index`.

    Shapes: (N,) bool, (N,) bool, (N,) identities, (N,) rows in the data set -> (N, N) bool: at most one True in each
    row that is in `first`, none in others; none where the identity has fewer rows in `second`. Two copies of the same
    image have the same index: which of them comes first follows their order.
    """
    together = labels.unsqueeze(0) == labels.unsqueeze(1)
    of_first = ranks(together & first.unsqueeze(0), index)
    of_second = ranks(together & second.unsqueeze(0), index)
    pairs = together & first.unsqueeze(1) & second.unsqueeze(0)
    return pairs & (of_first.unsqueeze(1) == of_second.unsqueeze(0))


def follow(pairs: Tensor, values: Tensor) -> Tensor:
    """The values of each row's partner, zeros where it has none: (N, N) bool, (N, D) -> (N, D)."""
    row = pairs.to(torch.uint8).argmax(dim=1)
    return values[row] * pairs.any(dim=1, keepdim=True)
