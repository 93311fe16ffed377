"""Progressive matching by all assignments of small sets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vireid.clustering import match_clusters


def centroids(number: int, seed: int, width: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((number, width)) * 3


def best_assignment(cost: np.ndarray) -> dict[int, int]:
    """Row -> column of the cheapest assignment of the smaller side, by trial of all."""
    rows, columns = cost.shape
    if rows <= columns:
        order = min(itertools.permutations(range(columns), rows), key=lambda p: sum(cost[range(rows), p]))
        return dict(enumerate(order))
    order = min(itertools.permutations(range(rows), columns), key=lambda p: sum(cost[p, range(columns)]))
    return {row: column for column, row in enumerate(order)}


def by_trial(visible: np.ndarray, infrared: np.ndarray) -> tuple[list[int], list[int]]:
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (visible, infrared)]
    cost = np.exp(-unit[0] @ unit[1].T)
    swapped = len(visible) < len(infrared)
    cost = cost.T if swapped else cost
    left, of_more, of_less = list(range(len(cost))), {}, {}
    while left:
        found = {left[row]: column for row, column in best_assignment(cost[left]).items()}
        of_less = of_less or {column: row for row, column in found.items()}
        of_more |= found
        left = [row for row in left if row not in found]
    sides = [[side[i] for i in range(len(side))] for side in (of_more, of_less)]
    return tuple(reversed(sides)) if swapped else tuple(sides)  # type: ignore[return-value]


@pytest.mark.parametrize(("more", "less"), [(4, 4), (6, 4), (6, 2), (7, 3), (1, 1), (5, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_rounds_equal_the_trial_of_all_assignments(more, less, seed):
    visible, infrared = centroids(more, seed), centroids(less, 100 + seed)
    for sides in ((visible, infrared), (infrared, visible)):
        matches = match_clusters(*sides)
        assert (matches.infrared_of_visible.tolist(), matches.visible_of_infrared.tolist()) == by_trial(*sides)


@pytest.mark.parametrize(("visible", "infrared"), [(30, 20), (20, 30), (25, 25), (31, 4)])
def test_pairs_of_the_first_round_hold_both_ways(visible, infrared):
    matches = match_clusters(centroids(visible, 0), centroids(infrared, 1))
    less, of_more = (
        (matches.visible_of_infrared, matches.infrared_of_visible)
        if visible >= infrared
        else (matches.infrared_of_visible, matches.visible_of_infrared)
    )
    assert len(set(less.tolist())) == min(visible, infrared)
    np.testing.assert_array_equal(of_more[less], np.arange(len(less)))
    counts = np.bincount(of_more, minlength=len(less))
    assert counts.max() - counts.min() <= 1  # one partner in each round


def test_norms_do_not_matter():
    visible, infrared = centroids(9, 0), centroids(6, 1)
    one = match_clusters(visible, infrared)
    other = match_clusters(visible * np.arange(1, 10)[:, None], infrared * 0.01)
    np.testing.assert_array_equal(one.infrared_of_visible, other.infrared_of_visible)
    np.testing.assert_array_equal(one.visible_of_infrared, other.visible_of_infrared)
