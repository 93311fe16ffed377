"""Distances between rows, and grouping of rows that does not depend on their order.

Groups are (N, N) masks and flags of first rows, never lists of distinct values: how many groups there are is known to
the device alone, and asking it (`unique`, `item`, `bool` of a tensor) would make every step wait for it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vireid.layers.precision import float32_or_more, without_autocast

MIN_SQUARED = 1e-12  # under the root, as in the released codes: equal rows are 1e-6 apart and get no gradient


def squared_distances(a: Tensor, b: Tensor | None = None) -> Tensor:
    """Squared Euclidean distances by one matrix product.

    Shapes: (..., N, D), (..., M, D) -> (..., N, M); with one argument the distances among its rows, diagonal exactly 0.
    Both sides are moved by their common mean first, which changes nothing in exact arithmetic and keeps float32
    accurate where rows are near each other and far from the origin. Rounding below 0 is clamped. Always in float32 or
    more, whatever autocast says.
    """
    if b is not None and a.shape[-1] != b.shape[-1]:
        raise ValueError(f"widths differ: {a.shape[-1]} and {b.shape[-1]}")
    a, b = float32_or_more(a), None if b is None else float32_or_more(b)
    rows = a if b is None else torch.cat([a, b], dim=-2)
    centre = rows.detach().mean(dim=-2, keepdim=True)
    a = a - centre
    b = a if b is None else b - centre
    squares = a.square().sum(-1).unsqueeze(-1) + b.square().sum(-1).unsqueeze(-2)
    with without_autocast(a):
        squared = (squares - 2 * a @ b.transpose(-1, -2)).clamp_min(0)
    if a is b:
        diagonal = torch.eye(a.shape[-2], dtype=torch.bool, device=a.device)
        squared = squared.masked_fill(diagonal, 0)
    return squared


def distances(a: Tensor, b: Tensor | None = None) -> Tensor:
    """Euclidean distances, not below 1e-6 (the root's gradient is infinite at 0). Shapes as `squared_distances`."""
    return squared_distances(a, b).clamp_min(MIN_SQUARED).sqrt()


class Groups(NamedTuple):
    """Which rows belong together, whatever their order."""

    same: Tensor  # (N, N) bool, the diagonal included
    first: Tensor  # (N,) bool: the first row of each group, one for each group

    def mean(self, values: Tensor) -> Tensor:
        """Mean over groups of values that all rows of a group share: (N,) -> scalar."""
        first = self.first.to(values.dtype)
        return (values * first).sum() / first.sum()


def groups(*keys: Tensor) -> Groups:
    """Rows that agree in every key: any number of (N,) -> masks of N rows."""
    same = torch.stack([key.unsqueeze(0) == key.unsqueeze(1) for key in keys]).all(dim=0)
    return Groups(same, ~same.tril(diagonal=-1).any(dim=1))


def group_means(features: Tensor, same: Tensor) -> Tensor:
    """Each row replaced by the mean of its group: (N, D), (N, N) bool -> (N, D) in float32 or more."""
    features = float32_or_more(features)
    shares = same.to(features.dtype)
    with without_autocast(features):
        return (shares / shares.sum(dim=1, keepdim=True)) @ features


def require(holds: Tensor, text: str) -> Tensor:
    """A scalar to add to a loss: 0 where the condition (one bool) holds.

    Where it does not: ValueError with the text for tensors on the CPU; on a device, which nothing here may wait for,
    NaN, which the trainer's check of every term finds at the end of the step.
    """
    if holds.device.type == "cpu":
        if not bool(holds):
            raise ValueError(text)
        return torch.zeros(())
    return torch.where(holds, 0.0, float("nan"))


class Hardest(NamedTuple):
    """Distance of each anchor to its farthest positive and to its nearest negative."""

    positive: Tensor  # (N,)
    negative: Tensor  # (N,)


def hardest(distance: Tensor, same: Tensor, among: Tensor | None = None) -> Hardest:
    """Batch-hard mining: the anchor itself counts as a positive, as in the released codes.

    Shapes: (N, N), (N, N) bool -> two of (N,). `among` (N,) bool leaves out columns that are False. Equal extremes
    share the gradient. Where nothing is a positive (or negative) the result is infinite.
    """
    positive, negative = (same, ~same) if among is None else (same & among, ~same & among)
    return Hardest(
        distance.masked_fill(~positive, float("-inf")).amax(dim=1),
        distance.masked_fill(~negative, float("inf")).amin(dim=1),
    )
