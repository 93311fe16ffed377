"""Pairwise distances, and grouping of rows independent of their order in the batch.

Groups are (N, N) masks and flags of first rows, never lists of unique values: the number of groups is known on the
device only, and reading it (`unique`, `item`, `bool` of a tensor) would synchronize with the device in every step.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vireid.layers.precision import float32_or_more, without_autocast

MIN_SQUARED = 1e-12  # lower bound, as in the released codes: equal rows have distance 1e-6 and no gradient


def squared_distances(a: Tensor, b: Tensor | None = None) -> Tensor:
    """Squared Euclidean distances by one matrix product.

    Both sides are shifted by their common mean first, which keeps float32 accurate for rows that are close to each
    other and far from the origin. Negative rounding errors are clamped to 0. Always in float32 or more, also under
    autocast.

    Args:
        a: (..., N, D) rows.
        b: (..., M, D) rows. None: distances among the rows of `a`, with a diagonal of exactly 0.

    Returns:
        (..., N, M) squared distances.

    Raises:
        ValueError: If the widths differ.

    Example:
        >>> squared_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
        tensor([[ 0., 25.],
                [25.,  0.]])
    """
    if b is not None and a.shape[-1] != b.shape[-1]:
        raise ValueError(f"distances need rows of equal width; the widths differ: {a.shape[-1]} and {b.shape[-1]}")
    a, b = float32_or_more(a), None if b is None else float32_or_more(b)
    rows = a if b is None else torch.cat([a, b], dim=-2)
    center = rows.detach().mean(dim=-2, keepdim=True)
    a = a - center
    b = a if b is None else b - center
    squares = a.square().sum(-1).unsqueeze(-1) + b.square().sum(-1).unsqueeze(-2)
    with without_autocast(a):
        squared = (squares - 2 * a @ b.transpose(-1, -2)).clamp_min(0)
    if a is b:
        diagonal = torch.eye(a.shape[-2], dtype=torch.bool, device=a.device)
        squared = squared.masked_fill(diagonal, 0)
    return squared


def distances(a: Tensor, b: Tensor | None = None) -> Tensor:
    """Euclidean distances, at least 1e-6 because the gradient of the root is infinite at 0; see `squared_distances`."""
    return squared_distances(a, b).clamp_min(MIN_SQUARED).sqrt()


class Groups(NamedTuple):
    """Groups of rows, independent of their order."""

    same: Tensor  # (N, N) bool, the diagonal included
    first: Tensor  # (N,) bool: True at the first row of each group

    def mean(self, values: Tensor) -> Tensor:
        """Mean over groups of values that are equal within each group: (N,) -> scalar."""
        first = self.first.to(values.dtype)
        return (values * first).sum() / first.sum()


def groups(*keys: Tensor) -> Groups:
    """Group rows that are equal in every key: any number of (N,) -> masks of N rows.

    Example:
        >>> groups(torch.tensor([7, 9, 7])).first
        tensor([ True,  True, False])
    """
    same = torch.stack([key.unsqueeze(0) == key.unsqueeze(1) for key in keys]).all(dim=0)
    return Groups(same, ~same.tril(diagonal=-1).any(dim=1))


def group_means(features: Tensor, same: Tensor) -> Tensor:
    """Replace each row by the mean of its group: (N, D), (N, N) bool -> (N, D), in float32 or more."""
    features = float32_or_more(features)
    shares = same.to(features.dtype)
    with without_autocast(features):
        return (shares / shares.sum(dim=1, keepdim=True)) @ features


def require(holds: Tensor, text: str) -> Tensor:
    """Return a scalar to add to a loss: 0 if the condition holds.

    Args:
        holds: Condition, one bool.
        text: Text of the error.

    Returns:
        0 if the condition holds. On devices other than the CPU NaN if it does not hold, because reading the condition
        would synchronize; the finite check of the trainer then reports the term.

    Raises:
        ValueError: If the condition does not hold, for tensors on the CPU.
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
    """Batch-hard mining: farthest positive and nearest negative of each anchor.

    The anchor itself counts as a positive, as in the released codes. Equal extremes share the gradient. An anchor
    without a positive (or negative) has an infinite distance.

    Args:
        distance: (N, N) distances.
        same: (N, N) bool, rows of the same identity.
        among: (N,) bool, candidate columns; None: all.

    Returns:
        Two tensors of (N,).
    """
    positive, negative = (same, ~same) if among is None else (same & among, ~same & among)
    return Hardest(
        distance.masked_fill(~positive, float("-inf")).amax(dim=1),
        distance.masked_fill(~negative, float("inf")).amin(dim=1),
    )
