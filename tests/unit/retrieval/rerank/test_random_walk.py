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


@pytest.fixture(params=["decomposed", "gradients"])
def solver(request, monkeypatch):
    """Both ways for any number of gallery images."""
    monkeypatch.setattr(random_walk, "DENSE", {"decomposed": 10_000, "gradients": 0}[request.param])


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.95, 0.999])
@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.usefixtures("solver")
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


def shared(images, cosine, width=64, seed=0):
    """Unit rows whose mean cosine is about that: a common direction and noise."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((images, width))
    noise[:, 0] = 0
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return np.sqrt(cosine) * np.eye(width)[0] + np.sqrt(1 - cosine) * noise


@pytest.mark.parametrize("cosine", [0.0, 0.06, 0.5, 0.9, 0.99, 0.999, 1.0])
@pytest.mark.parametrize("images", [1, 2, 3, 20, 300, 1000])
@pytest.mark.usefixtures("solver")
def test_equals_the_dense_solution_where_embeddings_share_a_direction(images, cosine):
    rows = shared(images + 10, cosine)
    queries, gallery = rows[:10], rows[10:]
    for dtype, tolerance in ((np.float32, 3e-5), (np.float64, 1e-10)):
        sides = queries.astype(dtype), gallery.astype(dtype)
        expected = plain(*(side.astype(np.float64) for side in sides), 0.95)
        np.testing.assert_allclose(RandomWalk()(*sides), expected, rtol=0, atol=tolerance, err_msg=str(dtype))


@pytest.mark.usefixtures("solver")
def test_opposite_images_and_long_queries():
    """Negative similarities; the result is linear in the query."""
    rows = shared(60, 0.3)
    rows[::2] *= -1
    expected = plain(rows[:20], rows[20:], 0.95)
    assert expected.min() < 0
    np.testing.assert_allclose(RandomWalk()(rows[:20], rows[20:]), expected, rtol=0, atol=1e-10)
    long = RandomWalk()(rows[:20].astype(np.float32) * np.float32(1e30), rows[20:].astype(np.float32))
    np.testing.assert_allclose(long / 1e30, expected, rtol=0, atol=1e-5)


def test_what_does_not_converge_is_an_error_that_names_alpha(monkeypatch):
    monkeypatch.setattr(random_walk, "DENSE", 0)
    monkeypatch.setattr(random_walk, "most_steps", lambda alpha, dtype: 1)
    rows = np.repeat(np.eye(4), 10, axis=0) * np.linspace(1, 3, 40)[:, None]
    with pytest.raises(UserError, match=r"did not converge \(alpha 0\.99, relative residual .*choose a smaller alpha"):
        RandomWalk(alpha=0.99)(rows[::3] + 0.3, rows)


@pytest.mark.usefixtures("solver")
def test_an_alpha_that_differs_from_1_by_rounding():
    """The limit: every gallery image gets the mean of the similarities, weighted by the row sums of the walk."""
    rows = shared(40, 0.5)
    queries, gallery = rows[:10], rows[10:]
    similar = gallery @ gallery.T
    np.fill_diagonal(similar, 0)
    weights = np.exp(similar).sum(axis=1)
    expected = (queries @ gallery.T) @ weights / weights.sum()
    for alpha in (1 - 1e-12, float(np.nextafter(1, 0))):
        found = RandomWalk(alpha=alpha)(queries, gallery)
        np.testing.assert_allclose(found, np.repeat(expected[:, None], 30, axis=1), rtol=0, atol=1e-10)


@pytest.mark.usefixtures("solver")
def test_clusters_of_copies():
    """Many equal images: the walk's matrix has large eigenvalues beside the first."""
    gallery = np.repeat(np.eye(4), 10, axis=0)
    queries = np.eye(4)
    np.testing.assert_allclose(RandomWalk()(queries, gallery), plain(queries, gallery, 0.95), rtol=0, atol=1e-12)


def test_impossible_arguments():
    with pytest.raises(UserError, match=r"alpha must be in \[0, 1\), got 1"):
        RandomWalk(alpha=1.0)
    rows = np.diag(np.array([1.0, 40.0])).astype(np.float32)
    with pytest.raises(
        DataError, match=r"too long for a softmax of their dot products \(the largest squared norm is 1\.6e\+03\)"
    ):
        RandomWalk()(rows, rows)
