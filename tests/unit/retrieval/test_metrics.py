"""The metrics against their reference implementation, and their edge cases."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.retrieval import metrics
from vireid.retrieval.metrics import measure, measure_queries
from vireid.retrieval.metrics_reference import measure_queries_reference


def problem(seed, queries=17, gallery=31, identities=6, levels=None, dtype=np.float64, junk=0.3):
    rng = np.random.default_rng(seed)
    distances = (
        rng.random((queries, gallery)) if levels is None else rng.integers(-levels, levels, (queries, gallery)) / 4
    )
    return (
        distances.astype(dtype),
        rng.integers(0, identities + 2, queries),  # two identities that the gallery lacks
        rng.integers(0, identities, gallery),
        rng.random((queries, gallery)) < junk,
    )


@pytest.mark.parametrize("cmc", ["identity", "image"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("levels", [None, 1, 3, 40], ids=lambda levels: f"levels {levels}")
@pytest.mark.parametrize("identities", [2, 9])
def test_every_query_equals_the_reference(identities, levels, dtype, cmc):
    distances, query_ids, gallery_ids, junk = problem(0, identities=identities, levels=levels, dtype=dtype)
    ours = measure_queries(distances, query_ids, gallery_ids, junk=junk, cmc=cmc)
    reference = measure_queries_reference(distances, query_ids, gallery_ids, junk=junk, cmc=cmc)
    np.testing.assert_array_equal(ours.counted, reference.counted)
    np.testing.assert_array_equal(ours.first, reference.first)
    np.testing.assert_allclose(ours.average_precision, reference.average_precision, rtol=0, atol=1e-14)
    np.testing.assert_allclose(ours.inverse_negative_penalty, reference.inverse_negative_penalty, rtol=0, atol=1e-14)


@pytest.mark.parametrize("cmc", ["identity", "image"])
@pytest.mark.parametrize("shared", [100, 1 << 20], ids=["threads", "one thread"])
def test_chunks_change_nothing(monkeypatch, cmc, shared):
    arguments = problem(3, queries=40, levels=5)
    whole = measure_queries(*arguments[:3], junk=arguments[3], cmc=cmc)
    monkeypatch.setattr(metrics, "CHUNK", 100)  # three rows at a time
    monkeypatch.setattr(metrics, "SHARED", shared)
    parts = measure_queries(*arguments[:3], junk=lambda rows: arguments[3][rows], cmc=cmc)
    for name in ("counted", "first", "average_precision", "inverse_negative_penalty", "chance"):
        np.testing.assert_allclose(getattr(whole, name), getattr(parts, name), rtol=0, atol=1e-15)


def test_chance_is_what_random_orders_reach():
    distances, query_ids, gallery_ids, junk = problem(5)
    found = measure(distances, query_ids, gallery_ids, junk=junk)
    rng = np.random.default_rng(1)
    draws = [measure(rng.random(distances.shape), query_ids, gallery_ids, junk=junk).rank(1) for _ in range(600)]
    assert found.chance == pytest.approx(np.mean(draws), abs=4 * np.std(draws) / 600**0.5)


def test_equal_distances_are_ordered_by_gallery_row():
    ids = np.array([5, 7, 5, 7])
    tied = measure_queries(np.full((2, 4), 0.5), np.array([5, 7]), ids, cmc="image")
    assert tied.first.tolist() == [1, 2]
    np.testing.assert_allclose(tied.average_precision, [(1 + 2 / 3) / 2, (1 / 2 + 2 / 4) / 2])
    by_identity = measure_queries(np.full((2, 4), 0.5), np.array([5, 7]), ids)
    assert by_identity.first.tolist() == [1, 2]


def test_junk_is_behind_an_infinitely_far_correct_image():
    distances = np.array([[np.inf, np.inf, 0.0]])
    scores = measure(distances, np.array([1]), np.array([2, 1, 2]), junk=np.array([[True, False, True]]))
    assert scores.rank(1) == scores.mean_ap == scores.mean_inp == 1.0


def test_minus_zero_ties_with_zero():
    distances = np.array([[0.0, -0.0, 0.0]])
    assert measure_queries(distances, np.array([1]), np.array([2, 1, 2]), cmc="image").first.tolist() == [2]


def test_similarities_give_what_their_negatives_give():
    distances, query_ids, gallery_ids, junk = problem(5, levels=6)
    ours = measure(-distances, query_ids, gallery_ids, junk=junk, larger_is_closer=True)
    other = measure(distances, query_ids, gallery_ids, junk=junk)
    np.testing.assert_array_equal(ours.cmc, other.cmc)
    assert (ours.mean_ap, ours.mean_inp) == (other.mean_ap, other.mean_inp)


def test_the_input_is_left_alone():
    distances, query_ids, gallery_ids, junk = problem(6)
    before = distances.copy(), junk.copy()
    measure(distances, query_ids, gallery_ids, junk=junk)
    np.testing.assert_array_equal(distances, before[0])
    np.testing.assert_array_equal(junk, before[1])


def test_the_curve_is_padded_where_identities_run_out():
    scores = measure(np.array([[0.1, 0.2, 0.3]]), np.array([1]), np.array([2, 2, 1]), ranks=(1, 20))
    assert scores.cmc.tolist() == [0.0] + [1.0] * 19


def test_rows_of_different_length_are_padded():
    """Where the released code raises: one query sees two identities, the other four."""
    junk = np.array([[False, False, True, True], [False] * 4])
    scores = measure(np.tile([0.1, 0.2, 0.3, 0.4], (2, 1)), np.array([2, 4]), np.arange(1, 5), junk=junk, ranks=(5,))
    assert scores.cmc.tolist() == [0.0, 0.5, 0.5, 1.0, 1.0]


def test_queries_without_a_correct_image_are_in_no_mean():
    distances, query_ids, gallery_ids, junk = problem(8)
    junk[4] = True
    scores = measure(distances, query_ids, gallery_ids, junk=junk)
    counted = measure_queries_reference(distances, query_ids, gallery_ids, junk=junk, cmc="identity").counted
    assert scores.queries == counted.sum()
    assert scores.skipped == (~counted).sum() > 1
    kept = measure(distances[counted], query_ids[counted], gallery_ids, junk=junk[counted])
    np.testing.assert_array_equal(scores.cmc, kept.cmc)
    assert scores.mean_ap == pytest.approx(kept.mean_ap, abs=1e-15)


def test_no_counted_query_is_an_error():
    with pytest.raises(DataError, match="none of the 2 queries has a correct image"):
        measure(np.zeros((2, 3)), np.array([1, 2]), np.array([1, 2, 2]), junk=np.ones((2, 3), dtype=bool))


@pytest.mark.parametrize("junk", [False, True])
def test_nan_is_an_error_that_names_its_place(monkeypatch, junk):
    monkeypatch.setattr(metrics, "CHUNK", 20)
    distances = np.zeros((9, 5), dtype=np.float32)
    distances[6, 3] = np.nan
    with pytest.raises(DataError, match="query 6 and gallery image 3 is not a number"):
        measure(distances, np.zeros(9), np.zeros(5), junk=np.full((9, 5), True) if junk else None)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"distances": np.zeros(3)}, r"must be a matrix .* got the shape \(3,\)"),
        ({"distances": np.zeros((2, 0))}, r"must be a matrix .* got the shape \(2, 0\)"),
        ({"query_ids": np.zeros(3)}, r"query_ids must have the shape \(2,\)"),
        ({"gallery_ids": np.zeros((3, 1))}, r"gallery_ids must have the shape \(3,\)"),
        ({"junk": np.zeros((2, 3))}, r"junk must be bool \(2, 3\), got float64"),
        ({"ranks": ()}, "ranks must be integers"),
        ({"ranks": (0, 5)}, "ranks must be integers"),
        ({"cmc": "identiy"}, "did you mean 'identity'"),
    ],
)
def test_mistakes_are_user_errors(change, text):
    arguments = {"distances": np.zeros((2, 3)), "query_ids": np.zeros(2), "gallery_ids": np.zeros(3), **change}
    with pytest.raises(UserError, match=text):
        measure(**arguments)


def test_rows_of_junk_of_another_shape_are_an_error():
    with pytest.raises(UserError, match=r"junk of 2 queries must be bool \(2, 3\), got bool \(3,\)"):
        measure(np.zeros((2, 3)), np.zeros(2), np.zeros(3), junk=lambda rows: np.zeros(3, bool))


def test_a_rank_outside_the_curve_is_an_error():
    scores = measure(np.zeros((1, 1)), np.zeros(1), np.zeros(1), ranks=(1, 5))
    assert scores.rank(5) == 1.0
    for k in (0, 6):
        with pytest.raises(UserError, match="1 to 5"):
            scores.rank(k)
