"""Comparison of half-precision re-ranking up to the order of equal distances.

Distances in half precision are often equal. The releases order them by NumPy's default sort, which is not stable: which
of two equal distances comes first depends on the vector instructions of the processor that ran them. Nearest neighbors,
and with them whole rows of the result, follow that order. The comparison has two parts:

1. Ours against `released_k_reciprocal`, the release's own loops, both with equal distances in the order of rows: every
   cell, at the tolerance of the case.
2. The stored result against the range of `released_k_reciprocal` over random orders of equal distances: every cell, at
   the tolerance of the case. Where no two distances are equal, the range is one number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.spatial.distance import cdist

ORDERS = 32  # random orders of equal distances whose results make the range
Order = Callable[[np.ndarray], np.ndarray]  # (N, N) distances -> ranks


def in_row_order(distances: np.ndarray) -> np.ndarray:
    return np.argsort(distances, axis=1, kind="stable")


def in_random_order(distances: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Ranks of each row, equal distances shuffled in each row for itself."""
    shuffled = generator.permuted(np.tile(np.arange(distances.shape[1]), (len(distances), 1)), axis=1)
    return np.lexsort((shuffled, distances), axis=1)


def released_k_reciprocal(
    queries: np.ndarray, gallery: np.ndarray, *, k1: int, k2: int, weight: float, order: Order = in_row_order
) -> np.ndarray:
    """(Q, G) distances as MCE, HCT and MMD-ReID compute them, step by step, in half precision."""
    half, asked = np.float16, len(queries)
    rows = np.concatenate([queries, gallery]).astype(half)
    distances = np.power(cdist(rows, rows).astype(half), 2).astype(half)
    distances = np.transpose(distances / np.max(distances, axis=0))
    ranks, number = order(distances), len(rows)

    def mutual(row: int, k: int) -> np.ndarray:
        forward = ranks[row, : k + 1]
        return forward[(ranks[forward, : k + 1] == row).any(axis=1)]

    codes = np.zeros((number, number), half)
    for row in range(number):
        near = expanded = mutual(row, k1)
        for candidate in near:
            further = mutual(candidate, int(np.around(k1 / 2)))
            if len(np.intersect1d(further, near)) > 2 / 3 * len(further):
                expanded = np.append(expanded, further)
        expanded = np.unique(expanded)
        weights = np.exp(-distances[row, expanded])
        codes[row, expanded] = weights / np.sum(weights)
    if k2 != 1:
        codes = np.stack([np.mean(codes[ranks[row, :k2]], axis=0) for row in range(number)])
    jaccard = np.zeros((asked, number), half)
    for row in range(asked):
        shared = np.zeros(number, half)
        for column in np.flatnonzero(codes[row]):
            named = np.flatnonzero(codes[:, column])
            shared[named] += np.minimum(codes[row, column], codes[named, column])
        jaccard[row] = 1 - shared / (2 - shared)
    return (jaccard * (1 - weight) + distances[:asked] * weight)[:, asked:].astype(np.float64)


def assert_equal_up_to_ties(
    ours: np.ndarray, stored: np.ndarray, queries: np.ndarray, gallery: np.ndarray, *, atol: float, **settings: float
) -> None:
    """`ours` and `stored` are re-ranked distances (Q, G) of the same features; `settings`: k1, k2, weight."""
    released = partial(released_k_reciprocal, queries, gallery, **settings)
    first = released()
    np.testing.assert_allclose(ours, first, rtol=0, atol=atol, err_msg="equal distances in the order of rows")
    results = [first]
    for seed in range(ORDERS):
        results.append(released(order=partial(in_random_order, generator=np.random.default_rng(seed))))
    inside = np.clip(stored.astype(np.float64), np.min(results, axis=0), np.max(results, axis=0))
    np.testing.assert_allclose(stored, inside, rtol=0, atol=atol, err_msg="range over orders of equal distances")


def score_range(
    score: Callable[[np.ndarray], np.ndarray], distances: np.ndarray, right: np.ndarray, apart: float
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest scores while each distance may be wrong by `apart`.

    mAP and CMC rise when a right image comes nearer or a wrong one goes further, so both ends are reached by moving all
    of them at once. `right`: (Q, G) bool, the images of the query's identity.
    """
    toward = np.where(right, -apart, apart)
    return score(distances - toward), score(distances + toward)
