"""Truths about the metrics that hold for any input."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vireid.retrieval import measure
from vireid.retrieval.metrics import measure_queries
from vireid.retrieval.metrics_reference import measure_queries_reference

CMC = st.sampled_from(["identity", "image"])


@st.composite
def problems(draw, levels=6):
    """Few levels of distance, hence many ties; the first query always has a correct image that counts."""
    queries, gallery = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    grid = arrays(np.int64, (queries, gallery), elements=st.integers(-levels, levels))
    identities = st.integers(0, 4)
    distances = draw(grid)
    query_ids = draw(arrays(np.int64, queries, elements=identities))
    gallery_ids = draw(arrays(np.int64, gallery, elements=identities))
    junk = draw(arrays(bool, (queries, gallery)))
    where = draw(st.integers(0, gallery - 1))
    gallery_ids[where], junk[0, where] = query_ids[0], False
    return distances, query_ids, gallery_ids, junk


def same(ours, other):
    np.testing.assert_allclose(ours.cmc, other.cmc, atol=1e-14)
    np.testing.assert_allclose((ours.mean_ap, ours.mean_inp), (other.mean_ap, other.mean_inp), atol=1e-14)
    assert ours.queries == other.queries


@settings(deadline=None)
@given(problems(), CMC, st.sampled_from([np.int64, np.float32, np.float64]))
def test_the_fast_metrics_equal_the_reference(problem, cmc, dtype):
    distances, query_ids, gallery_ids, junk = problem
    fast = measure_queries(distances.astype(dtype), query_ids, gallery_ids, junk=junk, cmc=cmc)
    reference = measure_queries_reference(distances, query_ids, gallery_ids, junk=junk, cmc=cmc)
    np.testing.assert_array_equal(fast.counted, reference.counted)
    np.testing.assert_array_equal(fast.first, reference.first)
    for name in ("average_precision", "inverse_negative_penalty", "chance"):
        np.testing.assert_allclose(getattr(fast, name), getattr(reference, name), rtol=0, atol=1e-14)


@settings(deadline=None)
@given(problems(), CMC)
def test_all_scores_are_fractions(problem, cmc):
    distances, query_ids, gallery_ids, junk = problem
    scores = measure(distances, query_ids, gallery_ids, junk=junk, cmc=cmc)
    assert ((scores.cmc >= 0) & (scores.cmc <= 1)).all()
    assert (np.diff(scores.cmc) >= 0).all()
    assert 0 < scores.mean_inp <= 1
    assert 0 < scores.mean_ap <= 1
    assert len(scores.cmc) == 20
    assert scores.queries + scores.skipped == len(query_ids)


@settings(deadline=None)
@given(problems(), CMC)
def test_a_perfect_ranking_scores_one(problem, cmc):
    distances, query_ids, gallery_ids, junk = problem
    wrong = query_ids[:, None] != gallery_ids[None]
    scores = measure(distances + 100 * wrong, query_ids, gallery_ids, junk=junk, cmc=cmc)
    assert scores.rank(1) == scores.mean_ap == scores.mean_inp == 1.0


@settings(deadline=None)
@given(problems(), CMC, st.data())
def test_more_junk_changes_nothing(problem, cmc, data):
    distances, query_ids, gallery_ids, junk = problem
    columns = data.draw(st.lists(st.integers(0, len(gallery_ids)), min_size=1, max_size=6))
    ids = data.draw(arrays(np.int64, len(columns), elements=st.integers(0, 6)))
    far = data.draw(arrays(np.int64, len(columns), elements=st.integers(-9, 9)))
    other = measure(
        np.insert(distances, columns, far, axis=1),
        query_ids,
        np.insert(gallery_ids, columns, ids),
        junk=np.insert(junk, columns, True, axis=1),
        cmc=cmc,
    )
    same(other, measure(distances, query_ids, gallery_ids, junk=junk, cmc=cmc))


@settings(deadline=None)
@given(problems(), CMC, st.sampled_from([np.exp, lambda d: 3 * d - 7, lambda d: d.astype(np.float32) ** 3]))
def test_only_the_order_of_distances_counts(problem, cmc, monotone):
    distances, query_ids, gallery_ids, junk = problem
    ours = measure(monotone(distances), query_ids, gallery_ids, junk=junk, cmc=cmc)
    same(ours, measure(distances, query_ids, gallery_ids, junk=junk, cmc=cmc))


@settings(deadline=None)
@given(problems(), CMC, st.randoms(use_true_random=False))
def test_the_order_of_queries_does_not_count(problem, cmc, shuffler):
    distances, query_ids, gallery_ids, junk = problem
    order = list(range(len(query_ids)))
    shuffler.shuffle(order)
    ours = measure(distances[order], query_ids[order], gallery_ids, junk=junk[order], cmc=cmc)
    same(ours, measure(distances, query_ids, gallery_ids, junk=junk, cmc=cmc))


@settings(deadline=None)
@given(problems(levels=10_000), CMC, st.randoms(use_true_random=False))
def test_the_order_of_the_gallery_counts_only_for_ties(problem, cmc, shuffler):
    distances, query_ids, gallery_ids, junk = problem
    distances = distances * len(gallery_ids) + np.arange(len(gallery_ids))  # no ties
    order = list(range(len(gallery_ids)))
    shuffler.shuffle(order)
    ours = measure(distances[:, order], query_ids, gallery_ids[order], junk=junk[:, order], cmc=cmc)
    same(ours, measure(distances, query_ids, gallery_ids, junk=junk, cmc=cmc))


@settings(deadline=None)
@given(problems(), CMC)
def test_a_closer_correct_image_never_hurts(problem, cmc):
    distances, query_ids, gallery_ids, junk = problem
    before = measure(distances, query_ids, gallery_ids, junk=junk, cmc=cmc)
    distances = distances.copy()
    distances[0, np.flatnonzero((gallery_ids == query_ids[0]) & ~junk[0])[0]] -= 4
    after = measure(distances, query_ids, gallery_ids, junk=junk, cmc=cmc)
    assert (after.cmc >= before.cmc - 1e-14).all()
    assert after.mean_ap >= before.mean_ap - 1e-14
    assert after.mean_inp >= before.mean_inp - 1e-14
