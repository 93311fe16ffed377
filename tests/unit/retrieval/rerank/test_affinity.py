"""Affinity inference against whole matrices, in several blocks."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import ArgumentError
from vireid.retrieval import AffinityInference
from vireid.retrieval.rerank import affinity


def whole(queries, gallery, k1, k2):
    queries, gallery = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, gallery))

    def kept(similar):
        least = np.sort(similar, axis=1)[:, -k1][:, None]
        return np.where(similar >= least, similar, 0)

    of_queries, of_gallery = kept(queries @ gallery.T), kept(gallery @ gallery.T)
    order = np.argsort(-(gallery @ gallery.T), axis=1, kind="stable")[:, :k2]
    of_gallery = of_gallery[order].mean(axis=1)
    of_queries, of_gallery = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (of_queries, of_gallery))
    return of_queries @ of_gallery.T + queries @ gallery.T


@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (4, 1), (5, 3), (20, 20)])
def test_equals_whole_matrices(monkeypatch, k1, k2):
    monkeypatch.setattr(affinity, "BLOCK", 100)
    rng = np.random.default_rng(k1)
    queries, gallery = 3 * rng.standard_normal((17, 6)), rng.standard_normal((20, 6))
    ours = AffinityInference(k1=k1, k2=k2)(queries, gallery)
    np.testing.assert_allclose(ours, whole(queries, gallery, k1, k2), rtol=1e-9, atol=1e-12)


def test_equal_similarities_are_all_kept():
    gallery = np.array([[1.0, 0.0], [0.6, 0.8], [0.6, 0.8], [0.0, 1.0]])
    queries = np.array([[1.0, 0.0]])
    np.testing.assert_allclose(AffinityInference(k1=2, k2=1)(queries, gallery), whole(queries, gallery, 2, 1))


def test_a_query_does_not_depend_on_other_queries():
    rng = np.random.default_rng(0)
    queries, gallery = rng.standard_normal((9, 6)), rng.standard_normal((20, 6))
    rerank = AffinityInference(k1=4, k2=2)
    np.testing.assert_allclose(rerank(queries, gallery)[3:4], rerank(queries[3:4], gallery), rtol=1e-12)


@pytest.mark.parametrize(
    ("k1", "k2", "words"), [(0, 1, "k1 must be at least 1"), (2, 3, r"k2 must be at most k1 \(2\)")]
)
def test_arguments(k1, k2, words):
    with pytest.raises(ArgumentError, match=words):
        AffinityInference(k1=k1, k2=k2)
