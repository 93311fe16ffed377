"""Distances between rows, and grouping of rows that does not depend on their order."""

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


class Centers(NamedTuple):
    """Mean rows and whose they are, ordered by identity, then modality."""

    features: Tensor  # (M, D)
    labels: Tensor  # (M,)
    modality: Tensor  # (M,)


def centers_by_identity_and_modality(features: Tensor, labels: Tensor, modality: Tensor) -> Centers:
    """One centre for each pair of identity and modality that occurs.

    Shapes: (R, D), (R,), (R,) -> M centres; any row order, any number of rows for each.
    """
    keys, group = torch.unique(labels * 2 + modality, return_inverse=True)
    totals = features.new_zeros(len(keys), features.shape[1]).index_add(0, group, features)
    counts = torch.bincount(group, minlength=len(keys)).unsqueeze(1)
    return Centers(totals / counts, keys // 2, keys % 2)


def same_identity(labels: Tensor) -> Tensor:
    """(N,) -> (N, N) bool, the diagonal included. ValueError where all rows are one identity: nothing is a negative."""
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    if bool(same.all()):
        raise ValueError(f"a triplet needs at least two identities in the batch; all {len(labels)} rows have the same")
    return same


class Hardest(NamedTuple):
    """Distance of each anchor to its farthest positive and to its nearest negative."""

    positive: Tensor  # (N,)
    negative: Tensor  # (N,)


def hardest(distance: Tensor, labels: Tensor) -> Hardest:
    """Batch-hard mining: the anchor itself counts as a positive, as in the released codes.

    Shapes: (N, N), (N,) -> two of (N,). Equal extremes share the gradient. ValueError where all rows are
    one identity.
    """
    same = same_identity(labels)
    positive = distance.masked_fill(~same, float("-inf")).amax(dim=1)
    negative = distance.masked_fill(same, float("inf")).amin(dim=1)
    return Hardest(positive, negative)
