from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.retrieval import RandomWalk
from vireid.retrieval.rerank import random_walk


def unit(rng, images, width=12):
    rows = rng.standard_normal((images, width)) + 0.5
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def plain(queries, gallery, alpha):
    """The definition, with the whole matrix and its inverse."""
    similar = gallery @ gallery.T
    np.fill_diagonal(similar, 0)
    walk = np.exp(similar) / np.exp(similar).sum(axis=1, keepdims=True)
    return (1 - alpha) * (queries @ gallery.T) @ np.linalg.inv(np.eye(len(gallery)) - alpha * walk).T


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.95, 0.999])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_equals_the_inverse(monkeypatch, alpha, scale):
    monkeypatch.setattr(random_walk, "BLOCK", 700)
    monkeypatch.setattr(random_walk, "QUERIES", 7)
    rng = np.random.default_rng(0)
    queries, gallery = scale * unit(rng, 20), scale * unit(rng, 60)
    expected = plain(queries, gallery, alpha)
    np.testing.assert_allclose(RandomWalk(alpha=alpha)(queries, gallery), expected, rtol=0, atol=1e-10 * scale**2)
    single = RandomWalk(alpha=alpha)(queries.astype(np.float32), gallery.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-3, atol=1e-4 * scale**2)


def test_clusters_of_copies():
    """Many equal images: the walk's matrix has large eigenvalues beside the first."""
    gallery = np.repeat(np.eye(4), 10, axis=0)
    queries = np.eye(4)
    np.testing.assert_allclose(RandomWalk()(queries, gallery), plain(queries, gallery, 0.95), rtol=0, atol=1e-12)


def test_impossible_arguments():
    with pytest.raises(UserError, match=r"alpha must be in \[0, 1\), got 1"):
        RandomWalk(alpha=1.0)
    rows = np.diag(np.array([1.0, 40.0])).astype(np.float32)
    with pytest.raises(DataError, match="too long for a softmax"):
        RandomWalk()(rows, rows)
