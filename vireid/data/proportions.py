"""Divide a number in proportion to weights, in whole parts."""

from __future__ import annotations

from collections.abc import Sequence


def proportional_counts(total: int, weights: Sequence[float]) -> list[int]:
    """Divide `total` in proportion to positive weights by the method of the largest remainder.

    >>> proportional_counts(8, [1, 1, 1]), proportional_counts(7, [2, 1])
    ([3, 3, 2], [5, 2])
    """
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [int(value) for value in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: (counts[i] - exact[i], i))
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts
