from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import ArgumentError, UserError
from vireid.retrieval import measure
from vireid.retrieval import similarity as module
from vireid.retrieval.similarity import Similarity


@pytest.fixture(params=[{}, {"metric": "euclidean"}, {"backend": "faiss"}], ids=str)
def similarity(request):
    if request.param.get("backend") == "faiss":
        pytest.importorskip("faiss", reason="faiss is not installed")
    return Similarity(**request.param)


def unit(rng, rows, width=24):
    features = rng.standard_normal((rows, width)).astype(np.float32)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def test_dot_products(similarity):
    rng = np.random.default_rng(0)
    queries, gallery = unit(rng, 30), unit(rng, 50)
    matrix = similarity(queries, gallery)
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, queries.astype(np.float64) @ gallery.T, rtol=0, atol=1e-6)


def test_euclidean_orders_rows_of_any_length_by_distance():
    rng = np.random.default_rng(2)
    queries, gallery = (rng.standard_normal((n, 6)) * rng.uniform(0.5, 5, (n, 1)) for n in (7, 40))
    distances = np.array([[np.linalg.norm(q - g) for g in gallery] for q in queries])
    scores = Similarity(metric="euclidean")(queries.astype(np.float32), gallery.astype(np.float32))
    np.testing.assert_allclose(scores, 1 - distances**2 / 2, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal((-scores).argsort(axis=1), distances.argsort(axis=1))
    assert not np.array_equal((queries @ gallery.T).argmax(axis=1), distances.argmin(axis=1)), "lengths count"


def test_same_metrics_from_torch_and_faiss_with_ties(monkeypatch):
    """Features of small integers: the dot products are exact and full of ties, which faiss orders in its own way."""
    pytest.importorskip("faiss", reason="faiss is not installed")
    monkeypatch.setattr(module, "BLOCK", 500)  # several searches
    rng = np.random.default_rng(1)
    queries, gallery = (rng.integers(-1, 2, (n, 6)).astype(np.float32) for n in (40, 90))
    ids = rng.integers(0, 9, 40), rng.integers(0, 9, 90)
    ours, other = (
        measure(Similarity(backend=backend)(queries, gallery), *ids, larger_is_closer=True)
        for backend in ("torch", "faiss")
    )
    np.testing.assert_array_equal(ours.cmc, other.cmc)
    assert (ours.mean_ap, ours.mean_inp) == (other.mean_ap, other.mean_inp)


def test_widths_must_agree(similarity):
    with pytest.raises(UserError, match=r"same D and G at least 1, got \(2, 3\) and \(2, 4\)"):
        similarity(np.zeros((2, 3)), np.zeros((2, 4)))


def test_without_faiss_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(UserError, match="pip install faiss-cpu"):
        Similarity(backend="faiss")(np.zeros((1, 2)), np.zeros((1, 2)))


def test_a_metric_that_a_backend_lacks_is_refused():
    with pytest.raises(ArgumentError) as caught:
        Similarity(metric="euclidean", backend="faiss")
    assert caught.value.parameter == "metric"
