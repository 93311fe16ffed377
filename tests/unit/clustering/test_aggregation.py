"""Pairs of clusters from the sorted list of all image pairs, as the release makes them."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.clustering import aggregation, shared_pairs


def case(seed: int, visible: int = 40, infrared: int = 30):
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((6, 5))
    rows = [centers[rng.integers(0, 6, n)] + 0.7 * rng.standard_normal((n, 5)) for n in (visible, infrared)]
    rows = [0.95 * each / np.linalg.norm(each, axis=1, keepdims=True) for each in rows]
    labels = [rng.integers(-1, 5, n) for n in (visible, infrared)]
    return (*rows, *labels)


def by_loop(visible, infrared, of_visible, of_infrared, threshold):
    counts, best = {}, {}
    for i, row in enumerate(visible):
        for j, column in enumerate(infrared):
            similarity, pair = row @ column, (of_visible[i], of_infrared[j])
            if similarity >= threshold:
                counts[pair] = counts.get(pair, 0) + 1
                best[pair] = max(best.get(pair, -1), similarity)
    ordered = sorted(counts, key=lambda pair: (-counts[pair], -best[pair]))
    taken = []
    for pair in ordered:
        if -1 not in pair and all(pair[0] != a and pair[1] != b for a, b in taken):
            taken.append(pair)
    return [(*pair, counts[pair]) for pair in ordered], taken


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("block", [50, 1 << 22])
def test_counts_and_pairs_equal_the_loop(seed, threshold, block, monkeypatch):
    monkeypatch.setattr(aggregation, "BLOCK", block)
    found = shared_pairs(*case(seed), threshold=threshold)
    counts, pairs = by_loop(*case(seed), threshold)
    assert list(map(tuple, found.counts.tolist())) == counts
    assert list(map(tuple, found.pairs.tolist())) == pairs


def test_outliers_are_counted_and_never_taken():
    rows = np.eye(2).repeat(3, axis=0)
    found = shared_pairs(rows, rows, np.array([-1] * 3 + [0] * 3), np.array([0] * 3 + [-1] * 3), threshold=0.5)
    assert found.counts.tolist() == [[-1, 0, 9], [0, -1, 9]]
    assert found.pairs.shape == (0, 2)


def test_nothing_similar_gives_no_pair():
    found = shared_pairs(np.eye(3), -np.eye(3), np.arange(3), np.arange(3), threshold=0.5)
    assert found.counts.shape == (0, 3)
    assert found.pairs.shape == (0, 2)
