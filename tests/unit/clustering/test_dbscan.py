"""DBSCAN by its definition, and by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from vireid.clustering import cluster_features, dbscan
from vireid.core.errors import ArgumentError, DataError


def near_pairs(number: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Points of the plane of different density: their distances and a radius."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 6, (6, 2))[rng.integers(0, 6, number)] + rng.standard_normal((number, 2)) * 0.6
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    return points, apart, 0.45


def by_definition(near: np.ndarray, min_samples: int) -> np.ndarray:
    """Grow each cluster from its first core; the others take the lowest cluster of a near core."""
    number, cores = len(near), near.sum(axis=1) >= min_samples
    labels, clusters = np.full(number, -1), 0
    for first in range(number):
        if not cores[first] or labels[first] >= 0:
            continue
        queue = [first]
        while queue:
            row = queue.pop()
            if labels[row] < 0:
                labels[row] = clusters
                queue += [other for other in range(number) if near[row, other] and cores[other]]
        clusters += 1
    for row in range(number):
        found = [labels[other] for other in range(number) if near[row, other] and cores[other]]
        if not cores[row] and found:
            labels[row] = min(found)
    return labels


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("min_samples", [1, 2, 4, 7])
def test_clusters_equal_the_definition_and_scikit_learn(seed, min_samples):
    from sklearn.cluster import DBSCAN

    _, apart, eps = near_pairs(90, seed)
    graph = sparse.csr_matrix(np.where(apart <= eps, apart + 1, 0))  # any values: entries count
    labels = dbscan(graph, min_samples=min_samples)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, by_definition(apart <= eps, min_samples))
    reference = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit_predict(apart)
    np.testing.assert_array_equal(labels, reference)


def test_stored_distances_of_0_are_near_pairs():
    graph = sparse.csr_matrix((np.zeros(9), np.tile([0, 1, 2], 3), [0, 3, 6, 9]))
    assert dbscan(graph, min_samples=3).tolist() == [0, 0, 0]
    assert graph.data.tolist() == [0.0] * 9  # the graph of the caller stays


def test_a_row_between_two_clusters_joins_the_first():
    near = np.eye(9, dtype=int)
    near[:4, :4] = near[5:, 5:] = 1
    near[4, [3, 5]] = near[[3, 5], 4] = 1
    assert dbscan(sparse.csr_matrix(near), min_samples=4).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert dbscan(sparse.csr_matrix(near[::-1, ::-1]), min_samples=4).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("number", [0, 1, 3])
def test_without_cores_all_rows_are_outliers(number):
    assert dbscan(sparse.csr_matrix(np.eye(number)), min_samples=2).tolist() == [-1] * number


def test_min_samples_below_1_is_reported():
    with pytest.raises(ArgumentError, match="min_samples must be at least 1, got 0"):
        dbscan(sparse.csr_matrix(np.eye(2)), min_samples=0)


# -- from embeddings to clusters ---------------------------------------------------------------------------------------


def embeddings(identities: int = 5, each: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    true = np.repeat(np.arange(identities), each)
    found = np.eye(8)[true] + 0.05 * rng.standard_normal((len(true), 8))
    return (0.9 * found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), true


def test_separate_groups_are_found_in_any_order_of_rows():
    features, true = embeddings()
    order = np.random.default_rng(1).permutation(len(true))
    for rows in (np.arange(len(true)), order):
        labels = cluster_features(features[rows], eps=0.6, min_samples=4, k1=10, k2=3)
        first = dict.fromkeys(true[rows].tolist())
        assert [list(first).index(label) for label in true[rows].tolist()] == labels.tolist()


def test_no_rows_have_no_clusters():
    assert cluster_features(np.zeros((0, 4), np.float32), eps=0.6, min_samples=4, k1=10, k2=3).shape == (0,)


def test_embeddings_that_are_not_finite_are_reported():
    features, _ = embeddings()
    features[7, 2] = np.nan
    with pytest.raises(DataError, match="row 7 is not finite"):
        cluster_features(features, eps=0.6, min_samples=4, k1=10, k2=3)
