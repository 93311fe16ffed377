"""Verification and open-set identification against loops, and the properties that any implementation has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vireid.core.errors import ArgumentError, DataError, UserError
from vireid.evaluation.open_set import candidates, evaluate_open_set, evaluate_verification
from vireid.evaluation.open_set.identification import MATED, NON_MATED, search


@st.composite
def problems(draw):
    """A small score matrix with ties, identities, ignored pairs, and at least one mated and one non-mated search."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    queries, gallery = draw(st.integers(2, 8)), draw(st.integers(2, 8))
    scores = rng.integers(-3, 4, (queries, gallery)) / 4 if draw(st.booleans()) else rng.normal(size=(queries, gallery))
    query_ids, gallery_ids = rng.integers(0, 5, queries), rng.integers(0, 4, gallery)
    query_ids[0], query_ids[1] = gallery_ids[0], 9
    junk = rng.random((queries, gallery)) < 0.2
    junk[:2, 0] = False
    return scores, query_ids, gallery_ids, junk


def loop(scores, query_ids, gallery_ids, junk, fusion):
    """Role, top score, mate score and mate rank of each search, written out."""
    rows = []
    for q, identity in enumerate(query_ids):
        images = {c: [scores[q, g] for g in range(len(gallery_ids)) if gallery_ids[g] == c and not junk[q, g]]
                  for c in set(gallery_ids.tolist())}  # fmt: skip
        fused = {c: {"max": max, "mean": lambda x: sum(x) / len(x)}[fusion](x) for c, x in images.items() if x}
        role = 1 if identity in fused else 2 if identity in images or not fused else 0
        mate = fused[identity] if role == 1 else -np.inf
        rank = 1 + sum(s >= mate for c, s in fused.items() if c != identity) if role == 1 else 0
        rows.append((role, max(fused.values(), default=-np.inf), mate, rank))
    return np.array(rows).T


@pytest.mark.parametrize("fusion", ["max", "mean"])
@given(problem=problems())
@settings(max_examples=40, deadline=None)
def test_searches_are_those_of_the_loop(fusion, problem):
    result = search(*problem, fusion=fusion)
    expected = loop(*problem, fusion)
    np.testing.assert_array_equal(result.role, expected[0])
    np.testing.assert_allclose([result.top_score, result.mate_score, result.mate_rank], expected[1:], rtol=1e-12)


@given(problem=problems())
@settings(max_examples=40, deadline=None)
def test_rates_of_identification(problem):
    result = evaluate_open_set(*problem, ranks=(1, 2), fpir=(0.0, 0.3, 1.0))
    assert (np.diff(result.fpir) >= 0).all(), "more is reported at a lower threshold"
    assert (np.diff(result.fnir, axis=1) <= 0).all()
    assert (result.fnir[0] >= result.fnir[1]).all(), "a larger rank misses less"
    assert all(point.fpir <= point.wanted for point in result.points)
    assert all(point.misidentified <= point.fnir[0] for point in result.points)
    mated = result.searches.mated
    np.testing.assert_allclose(result.points[-1].fnir[0], 1 - (result.searches.mate_rank[mated] == 1).mean())


@given(problem=problems(), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_does_not_matter(problem, seed):
    scores, query_ids, gallery_ids, junk = problem
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(len(query_ids)), rng.permutation(len(gallery_ids))
    moved = scores[rows][:, columns], query_ids[rows], gallery_ids[columns], junk[rows][:, columns]
    one, two = (evaluate_open_set(*each, fpir=(0.2,)) for each in (problem, moved))
    np.testing.assert_allclose(one.fnir, two.fnir)
    assert one.points[0].limit == two.points[0].limit
    one, two = (evaluate_verification(*each) for each in (problem, moved))
    assert (one.eer, one.auc) == pytest.approx((two.eer, two.auc))


@given(problem=problems())
@settings(max_examples=40, deadline=None)
def test_a_gallery_image_that_every_probe_ignores_is_as_absent(problem):
    scores, query_ids, gallery_ids, junk = problem
    more = np.c_[scores, np.full(len(scores), 9.0)], query_ids, np.r_[gallery_ids, gallery_ids[0]]
    with_it = evaluate_open_set(*more, np.c_[junk, np.ones(len(scores), bool)])
    without = evaluate_open_set(*problem)
    np.testing.assert_array_equal(with_it.searches.role, without.searches.role)
    np.testing.assert_allclose(with_it.fnir, without.fnir)


@given(problem=problems())
@settings(max_examples=40, deadline=None)
def test_rates_of_verification(problem):
    scores, query_ids, gallery_ids, junk = problem
    result = evaluate_verification(*problem, fmr=(0.0, 0.3, 1.0))
    pairs = [
        (scores[q, g], query_ids[q] == gallery_ids[g])
        for q in range(len(query_ids))
        for g in range(len(gallery_ids))
        if not junk[q, g]
    ]
    for threshold, fmr, fnmr in zip(result.thresholds, result.fmr, result.fnmr):
        assert fmr == pytest.approx(np.mean([s >= threshold for s, same in pairs if not same]))
        assert fnmr == pytest.approx(np.mean([s < threshold for s, same in pairs if same]))
    wins = [(a > b) + (a == b) / 2 for a, same in pairs if same for b, other in pairs if not other]
    assert result.auc == pytest.approx(np.mean(wins))
    assert all(point.fmr <= point.wanted for point in result.points)
    assert 0 <= result.eer <= 1


def test_blocks_do_not_matter(monkeypatch):
    rng = np.random.default_rng(0)
    problem = rng.normal(size=(50, 12)), rng.integers(0, 8, 50), rng.integers(0, 5, 12), rng.random((50, 12)) < 0.1
    whole = search(*problem)
    monkeypatch.setattr(candidates, "BLOCK", 30)
    for one, two in zip(vars(whole).values(), vars(search(*problem)).values()):
        np.testing.assert_array_equal(one, two)


def test_roles():
    result = search(
        np.eye(3), np.array([1, 5, 2]), np.array([1, 1, 2]), np.array([[0, 0, 0], [0, 0, 0], [0, 0, 1]], bool)
    )
    assert result.role.tolist() == [MATED, NON_MATED, 2], "an identity of which every image is ignored is not counted"


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"scores": np.full((2, 2), np.nan)}, DataError, r"entry \(0, 0\) is nan, which is not finite"),
        ({"scores": np.array([[0.1, -np.inf], [0, 0]])}, DataError, r"entry \(0, 1\) is -inf"),
        ({"query_ids": np.array([1])}, UserError, r"query_ids must have the shape \(2,\)"),
        ({"junk": np.zeros((2, 2))}, UserError, "junk must be bool"),
        ({"fusion": "median"}, ArgumentError, "fusion must be 'max' or 'mean'"),
        ({"ranks": ()}, ArgumentError, "ranks must be numbers of at least 1"),
        ({"fpir": (1.5,)}, ArgumentError, r"must be in \[0, 1\]"),
        ({"query_ids": np.array([1, 2])}, DataError, "there is no non-mated one"),
        ({"query_ids": np.array([8, 9])}, DataError, "there is no mated one"),
    ],
)
def test_what_is_refused(change, error, text):
    arguments = {"scores": np.eye(2), "query_ids": np.array([1, 9]), "gallery_ids": np.array([1, 2]), **change}
    with pytest.raises(error, match=text):
        evaluate_open_set(**arguments)


@given(problem=problems())
@settings(max_examples=40, deadline=None)
def test_an_image_that_one_probe_ignores_is_as_absent_for_it(problem):
    scores, query_ids, gallery_ids, junk = problem
    result = search(*problem)
    for q in range(len(query_ids)):
        left = ~junk[q]
        if not left.any():
            assert result.role[q] == 2
            continue
        alone = search(scores[q : q + 1, left], query_ids[q : q + 1], gallery_ids[left])
        assert result.top_score[q] == alone.top_score[0]
        if result.role[q] == MATED:
            assert (result.mate_score[q], result.mate_rank[q]) == (alone.mate_score[0], alone.mate_rank[0])


def test_without_a_threshold_misses_are_those_of_the_cmc_over_identities():
    rng = np.random.default_rng(0)
    scores, query_ids, gallery_ids = rng.random((60, 40)), rng.integers(0, 30, 60), rng.integers(0, 20, 40)
    result = evaluate_open_set(scores, query_ids, gallery_ids, ranks=(1, 2, 5), fpir=(1.0,))
    ids = np.unique(gallery_ids)
    fused = np.stack([scores[:, gallery_ids == identity].max(axis=1) for identity in ids], axis=1)
    mated = np.isin(query_ids, ids)
    order = ids[np.argsort(-fused, axis=1)][mated]
    cmc = [(order[:, :rank] == query_ids[mated, None]).any(axis=1).mean() for rank in (1, 2, 5)]
    np.testing.assert_allclose(result.points[0].fnir, 1 - np.array(cmc))


def test_lists_are_taken():
    assert evaluate_open_set([[0.9, 0.1], [0.2, 0.3]], [1, 9], [1, 2]).points[0].fnir == (0.0,)
