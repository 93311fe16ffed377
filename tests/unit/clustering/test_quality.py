"""Agreement of partitions by the definitions: pairs of images, all permutations, counts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from vireid.clustering import adjusted_mutual_information, adjusted_rand_index, purity

PARTITIONS = [
    ([0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1]),
    ([0, 1, 1, 1, 1, 0, 2], [3, 3, 1, 1, 1, 1, 2]),
    ([0, 0, 0, 0, 0, 1], [0, 1, 2, 3, 4, 5]),
    ([0, 0, 0, 0], [0, 1, 1, 2]),
]
RANDOM = [tuple(np.random.default_rng(seed).integers(0, 4 + seed, (2, 60)).tolist()) for seed in range(4)]


def rand_index(found, true):
    """Pairs that are together in both, expected by chance over pairs, scaled."""
    pairs = list(itertools.combinations(range(len(found)), 2))
    a = np.array([found[i] == found[j] for i, j in pairs], float)
    b = np.array([true[i] == true[j] for i, j in pairs], float)
    expected, largest = a.sum() * b.sum() / len(pairs), (a.sum() + b.sum()) / 2
    return ((a * b).sum() - expected) / (largest - expected)


def information(found, true):
    total = len(found)
    value = 0.0
    for i, j in set(zip(found, true)):
        joint = sum(f == i and t == j for f, t in zip(found, true)) / total
        value += joint * math.log(joint * total**2 / (found.count(i) * true.count(j)))
    return value


def entropy(labels):
    return -sum(n / len(labels) * math.log(n / len(labels)) for n in map(labels.count, set(labels)))


@pytest.mark.parametrize(("found", "true"), PARTITIONS + RANDOM)
def test_adjusted_rand_index_over_pairs(found, true):
    assert adjusted_rand_index(np.array(found), np.array(true)) == pytest.approx(rand_index(found, true), abs=1e-12)


@pytest.mark.parametrize(("found", "true"), PARTITIONS)
def test_adjusted_mutual_information_over_all_permutations(found, true):
    """Chance is the mean over all orders of the labels."""
    values = [information(found, list(order)) for order in itertools.permutations(true)]
    expected, mean = sum(values) / len(values), (entropy(found) + entropy(true)) / 2
    wanted = (information(found, true) - expected) / (mean - expected)
    assert adjusted_mutual_information(np.array(found), np.array(true)) == pytest.approx(wanted, abs=1e-10)


@pytest.mark.parametrize(("found", "true"), PARTITIONS + RANDOM)
def test_purity_by_counts(found, true):
    best = sum(max(sum(f == i and t == j for f, t in zip(found, true)) for j in set(true)) for i in set(found))
    assert purity(np.array(found), np.array(true)) == pytest.approx(best / len(found))


@pytest.mark.parametrize("seed", range(4))
def test_many_images_equal_scikit_learn(seed):
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    rng = np.random.default_rng(seed)
    true = rng.integers(0, 40, 900)
    found = np.where(rng.random(900) < 0.3, rng.integers(0, 50, 900), true // 2)
    assert adjusted_rand_index(found, true) == pytest.approx(adjusted_rand_score(true, found), abs=1e-12)
    assert adjusted_mutual_information(found, true) == pytest.approx(adjusted_mutual_info_score(true, found), abs=1e-9)


@pytest.mark.parametrize("measure", [adjusted_rand_index, adjusted_mutual_information, purity])
@pytest.mark.parametrize("labels", [[0], [0, 0, 0], [0, 1, 2], [4, 4, 9, 9]])
def test_equal_partitions_have_the_value_1(measure, labels):
    assert measure(np.array(labels), 5 - np.array(labels)) == 1


@pytest.mark.parametrize("measure", [adjusted_rand_index, adjusted_mutual_information])
def test_independent_partitions_are_near_0(measure):
    rng = np.random.default_rng(0)
    values = [measure(*rng.integers(0, 12, (2, 300))) for _ in range(40)]
    assert abs(np.mean(values)) < 0.01
