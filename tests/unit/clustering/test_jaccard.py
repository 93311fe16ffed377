"""Jaccard distances recomputed row by row."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.clustering import jaccard, jaccard_graph
from vireid.core.errors import ArgumentError
from vireid.retrieval.rerank import distances

ALL = 1 - 1e-12  # every pair that shares a weight


def rows(number: int = 40, width: int = 6, scale: float = 0.8, seed: int = 0) -> np.ndarray:
    """Rows around a few centers, of different norms."""
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((8, width))[rng.integers(0, 8, number)] + 0.4 * rng.standard_normal((number, width))
    return scale * found / np.linalg.norm(found, axis=1, keepdims=True) * rng.uniform(0.7, 1.0, (number, 1))


def by_loop(features: np.ndarray, k1: int, k2: int) -> np.ndarray:
    """The (N, N) distances, set by set."""
    number = len(features)
    apart = np.linalg.norm(features[:, None] - features[None], axis=2)
    order = [sorted(range(number), key=lambda j: (apart[i, j], j)) for i in range(number)]

    def mutual(i: int, k: int) -> set[int]:
        return {j for j in order[i][:k] if i in order[j][:k]}

    codes = np.zeros((number, number))
    for i in range(number):
        members = mutual(i, k1)
        expanded = set(members)
        for j in members:
            inner = mutual(j, min(round(k1 / 2) + 1, k1))
            if len(inner & members) > 2 / 3 * len(inner):
                expanded |= inner
        for j in expanded:
            codes[i, j] = np.exp(2 * features[i] @ features[j])
        codes[i] /= codes[i].sum()
    codes = np.stack([codes[order[i][: min(k1, k2)]].mean(axis=0) for i in range(number)])
    shared = np.array([[np.minimum(a, b).sum() for b in codes] for a in codes])
    return np.maximum(1 - shared / (2 - shared), 0)


def dense(graph) -> np.ndarray:
    out, entries = np.ones(graph.shape), graph.tocoo()
    out[entries.row, entries.col] = entries.data
    return out


@pytest.mark.parametrize(("k1", "k2"), [(10, 3), (5, 1), (4, 9), (60, 6), (1, 1)])
def test_distances_equal_the_loop(k1, k2, monkeypatch):
    monkeypatch.setattr(jaccard, "BLOCK", 300)  # several blocks of rows
    monkeypatch.setattr(distances, "BLOCK", 300)
    monkeypatch.setattr(jaccard, "ROWS", 7)
    features = rows()
    np.testing.assert_allclose(
        dense(jaccard_graph(features, k1=k1, k2=k2, eps=ALL)), by_loop(features, k1, k2), rtol=1e-9, atol=1e-12
    )


def test_only_pairs_up_to_eps_are_stored_and_the_graph_is_symmetric():
    features = rows(seed=1)
    expected = by_loop(features, 10, 3) <= 0.5
    graph = jaccard_graph(features, k1=10, k2=3, eps=0.5)
    assert graph.nnz == expected.sum() < expected.size / 2
    stored = np.zeros(graph.shape, bool)
    stored[graph.tocoo().row, graph.tocoo().col] = True
    np.testing.assert_array_equal(stored, expected)
    assert (graph != graph.T).nnz == 0
    assert stored.diagonal().all()


def test_equal_rows_are_stored_with_distance_0():
    features = np.repeat(np.eye(3), 4, axis=0)
    graph = jaccard_graph(features, k1=4, k2=2, eps=0.1)
    np.testing.assert_array_equal(np.diff(graph.indptr), 4)
    np.testing.assert_allclose(graph.data, 0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_large_norm_do_not_overflow(dtype):
    """exp(2 x.y) of these rows is above the largest float64."""
    features = (60 * np.repeat(np.eye(3), 5, axis=0) + 0.01 * np.arange(15)[:, None]).astype(dtype)
    graph = jaccard_graph(features, k1=5, k2=2, eps=0.99)
    assert np.isfinite(graph.data).all()
    assert (graph.toarray()[:5, 5:] == 0).all()
    assert np.diff(graph.indptr).min() >= 1


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_smallest_inputs(number):
    graph = jaccard_graph(rows(number), k1=30, k2=6, eps=0.6)
    assert graph.shape == (number, number)
    assert (np.diff(graph.indptr) >= 1).all()


@pytest.mark.parametrize(("name", "value"), [("k1", 0), ("k2", 0), ("eps", 1.0), ("eps", -0.1)])
def test_arguments_out_of_range_are_reported(name, value):
    with pytest.raises(ArgumentError) as error:
        jaccard_graph(rows(), **({"k1": 5, "k2": 2, "eps": 0.5} | {name: value}))
    assert name in str(error.value)
