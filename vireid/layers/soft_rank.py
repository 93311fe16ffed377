"""Soft ranks: a differentiable form of the ranks of a row of numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from vireid.core.errors import ArgumentError
from vireid.layers.precision import float32_or_more


def soft_rank(values: Tensor, *, strength: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Ascending soft ranks by projection onto the permutahedron, with quadratic regularization.

    With s the values divided by `strength`, in descending order, and w = (n, .., 1), the ranks are s - q. q is the
    non-increasing least-squares fit of s - w: q_i = min over j <= i of the max over k >= i of the mean of j .. k. The
    smallest value has rank 1 and the largest rank n if all differences exceed `strength`. All ranks are in 1 .. n and
    their sum is that of 1 .. n. Memory is O(n^2) for each row. In float32 or more.

    Args:
        values: Values.
        strength: Strength of the regularization; the smaller, the closer to ranks.
        valid: Entries that are ranked; None: all. The rank of other entries is 0, and n counts the valid ones.

    Shape:
        values (..., n), valid (..., n) bool -> (..., n).

    Raises:
        ArgumentError: If `strength` is not above 0.

    Source:
        Blondel et al., "Fast Differentiable Sorting and Ranking", ICML 2020.

    Example:
        >>> soft_rank(torch.tensor([[0.1, 0.9, 0.2]]), strength=0.01)
        tensor([[1., 3., 2.]])
    """
    if not strength > 0:
        raise ArgumentError("strength", f"must be above 0, got {strength}")
    scaled = float32_or_more(values) / strength
    valid = torch.ones_like(scaled, dtype=torch.bool) if valid is None else valid.expand_as(scaled)
    order = scaled.masked_fill(~valid, float("-inf")).argsort(dim=-1, descending=True, stable=True)
    scaled, ranked = scaled.gather(-1, order), valid.gather(-1, order)
    scaled = scaled.masked_fill(~ranked, 0)

    position = torch.arange(scaled.shape[-1], device=scaled.device)
    descending = (ranked.sum(dim=-1, keepdim=True) - position).to(scaled.dtype)
    fit = _non_increasing_fit((scaled - descending).detach(), ranked)
    blocks = (fit.unsqueeze(-1) == fit.unsqueeze(-2)) & ranked.unsqueeze(-2)
    shares = blocks.to(scaled.dtype) / blocks.sum(dim=-1, keepdim=True).clamp_min(1)
    within = (shares * scaled.unsqueeze(-2)).sum(dim=-1)
    ranks = scaled - within + (shares * descending.unsqueeze(-2)).sum(dim=-1)
    ranks = ranks.masked_fill(~ranked, 0)
    return torch.zeros_like(ranks).scatter(-1, order, ranks)


def _non_increasing_fit(values: Tensor, valid: Tensor) -> Tensor:
    """Non-increasing least-squares fit of the valid entries, which come first: (..., n), (..., n) bool -> (..., n)."""
    number = values.shape[-1]
    sums = torch.cat([torch.zeros_like(values[..., :1]), values.cumsum(dim=-1)], dim=-1)
    first = torch.arange(number, device=values.device).unsqueeze(1)
    last = torch.arange(number, device=values.device).unsqueeze(0)
    means = (sums[..., None, 1:] - sums[..., :-1, None]) / (last - first + 1).clamp_min(1)
    means = means.masked_fill((last < first) | ~valid.unsqueeze(-2), float("-inf"))
    highest = means.flip(-1).cummax(dim=-1).values.flip(-1)  # (first, i): the highest mean of first .. k, k >= i
    return highest.masked_fill(first > last, float("inf")).amin(dim=-2).masked_fill(~valid, float("-inf"))
