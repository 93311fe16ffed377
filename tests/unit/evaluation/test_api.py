"""The two public functions: hand-worked cases, input forms, error texts."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from vireid.core.errors import DataError, UserError
from vireid.evaluation import evaluate_distances, evaluate_retrieval


def places(*order):
    """A row of distances that puts the gallery images in this order."""
    return [order.index(image) / 10 for image in range(len(order))]


def test_six_sysu_queries_worked_by_hand():
    gallery_ids, gallery_cameras = [1, 1, 2, 2, 3, 3, 4], [1, 2, 1, 2, 4, 5, 2]
    rows = [  # identity, camera, order of the gallery
        (1, 6, places(0, 2, 1, 3, 4, 5, 6)),  # places 1, 3 of 7; first identity
        (1, 3, places(1, 2, 3, 0, 4, 5, 6)),  # without camera 2: 2 0 4 5, place 2; second identity
        (2, 6, places(4, 5, 0, 1, 3, 6, 2)),  # places 5, 7; identities 3, 1, 2: third
        (4, 3, places(6, 0, 1, 2, 3, 4, 5)),  # its only image is of camera 2: skipped
        (3, 3, places(3, 6, 1, 5, 0, 2, 4)),  # without camera 2: 5 0 2 4, places 1, 4; first
        (9, 6, places(0, 1, 2, 3, 4, 5, 6)),  # nobody: skipped
    ]
    ids, cameras, distances = zip(*rows)
    scores = evaluate_distances(distances, ids, gallery_ids, cameras, gallery_cameras, protocol="sysu", ranks=(1, 4))
    np.testing.assert_allclose(scores.cmc, [2 / 4, 3 / 4, 1, 1], atol=1e-15)
    assert scores.mean_ap == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2 + (1 / 5 + 2 / 7) / 2 + (1 + 2 / 4) / 2) / 4)
    assert scores.mean_inp == pytest.approx((2 / 3 + 1 / 2 + 2 / 7 + 2 / 4) / 4)
    assert (scores.queries, scores.skipped) == (4, 2)


def test_six_regdb_queries_worked_by_hand():
    gallery_ids = [1, 1, 2, 2, 3]
    rows = [
        (1, places(0, 1, 2, 3, 4)),  # places 1, 2
        (2, places(0, 1, 2, 4, 3)),  # places 3, 5: the third image, though the second identity
        (3, places(0, 1, 2, 3, 4)),  # place 5
        (3, places(4, 3, 2, 1, 0)),  # place 1
        (7, places(0, 1, 2, 3, 4)),  # nobody: skipped
        (2, places(2, 0, 3, 1, 4)),  # places 1, 3
    ]
    ids, distances = zip(*rows)
    # the same camera on both sides: RegDB removes nothing whatever the cameras are
    scores = evaluate_distances(distances, ids, gallery_ids, [1] * 6, [1] * 5, protocol="regdb", ranks=(5,))
    np.testing.assert_allclose(scores.cmc, [3 / 5, 3 / 5, 4 / 5, 4 / 5, 1], atol=1e-15)
    assert scores.mean_ap == pytest.approx((1 + (1 / 3 + 2 / 5) / 2 + 1 / 5 + 1 + (1 + 2 / 3) / 2) / 5)
    assert scores.mean_inp == pytest.approx((1 + 2 / 5 + 1 / 5 + 1 + 2 / 3) / 5)
    assert (scores.queries, scores.skipped) == (5, 1)


def test_llcm_removes_the_same_person_in_the_same_camera_only():
    gallery_ids, gallery_cameras = [1, 2, 1, 2], [4, 4, 5, 5]
    distances = [places(0, 1, 3, 2), places(2, 3, 1, 0)]
    # query 0: image 0 leaves, the other person of camera 4 stays: 1 3 2, place 3, second identity
    # query 1: image 1 leaves: 2 3 0, place 2, second identity
    scores = evaluate_distances(distances, [1, 2], gallery_ids, [4, 4], gallery_cameras, protocol="llcm", ranks=(1, 2))
    assert scores.cmc.tolist() == [0, 1]
    assert scores.mean_ap == scores.mean_inp == pytest.approx((1 / 3 + 1 / 2) / 2)


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    return {
        "query_features": rng.standard_normal((20, 7)),
        "gallery_features": rng.standard_normal((33, 7)),
        "query_ids": rng.integers(0, 5, 20),
        "gallery_ids": rng.integers(0, 5, 33),
        "query_cameras": rng.choice([3, 6], 20),
        "gallery_cameras": rng.choice([1, 2, 4, 5], 33),
    }


@pytest.mark.parametrize("protocol", ["sysu", "regdb", "llcm"])
def test_features_are_compared_by_cosine(problem, protocol):
    query, gallery = problem["query_features"], problem["gallery_features"]
    unit_query = query / np.linalg.norm(query, axis=1, keepdims=True)
    unit_gallery = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    known = {key: value for key, value in problem.items() if "features" not in key}
    ours = evaluate_retrieval(**problem, protocol=protocol)
    other = evaluate_distances(-(unit_query @ unit_gallery.T), **known, protocol=protocol)
    np.testing.assert_array_equal(ours.cmc, other.cmc)
    assert ours.mean_ap == pytest.approx(other.mean_ap, abs=1e-14)
    assert len(ours.cmc) == 20


@pytest.mark.parametrize("form", [torch.from_numpy, np.ndarray.tolist], ids=["tensors", "lists"])
def test_tensors_and_lists_are_taken(problem, form):
    ours = evaluate_retrieval(**{key: form(value) for key, value in problem.items()})
    other = evaluate_retrieval(**problem)
    np.testing.assert_array_equal(ours.cmc, other.cmc)
    assert ours.mean_inp == other.mean_inp


def test_tensors_with_a_graph_and_in_bfloat16_are_taken(problem):
    query, gallery = (torch.tensor(problem[f"{side}_features"]) for side in ("query", "gallery"))
    problem |= {"query_features": query.bfloat16().requires_grad_(), "gallery_features": gallery.bfloat16()}
    assert evaluate_retrieval(**problem).queries == 20


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"protocol": "syssu"}, "unknown protocol 'syssu'; did you mean 'sysu'? Known: sysu, regdb, llcm"),
        ({"protocol": "market"}, "unknown protocol 'market'; Known: sysu, regdb, llcm"),
        ({"query_ids": [1, 2]}, "query_ids must have one entry for each of the 20 query images, got the shape (2,)"),
        (
            {"gallery_cameras": np.zeros((33, 1))},
            "gallery_cameras must have one entry for each of the 33 gallery images, got the shape (33, 1)",
        ),
        (
            {"query_features": np.zeros(7)},
            "query_features: must be a matrix (images, width) with entries, got the shape (7,)",
        ),
        (
            {"gallery_features": np.ones((33, 6))},
            "query_features have the width 7, but gallery_features 6; both must be equal",
        ),
        ({"ranks": (1, 0.5)}, "ranks must be integers from 1 on, got (1, 0.5)"),
    ],
)
def test_mistakes_are_one_clear_text(problem, change, text):
    with pytest.raises(UserError) as error:
        evaluate_retrieval(**(problem | change))
    assert str(error.value) == text
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_broken_features_are_named(problem, value):
    problem["gallery_features"][4] = value
    with pytest.raises(DataError, match=r"gallery_features: row 4 is (zero|not finite)"):
        evaluate_retrieval(**problem)


def test_distances_must_be_a_matrix():
    with pytest.raises(UserError, match="must be a matrix"):
        evaluate_distances([1.0, 2.0], [1], [1, 2], [3], [1, 1])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.ma.array(np.ones((20, 7)), mask=np.eye(20, 7)), "query_features has masked entries"),
        (np.ones((20, 7)) * 1j, "query_features holds values of the type complex128; give real numbers"),
        ([["0.5"] * 7] * 20, "query_features holds values of the type <U3; give real numbers"),
        ([[1.0]] * 19 + [[1.0, 2.0]], "query_features is not a matrix of numbers"),
        (np.zeros((20, 7), "datetime64[s]"), "holds values of the type datetime64[s]"),
        (torch.ones(20, 7).to_sparse(), "query_features is a sparse tensor; give query_features.to_dense()"),
    ],
)
def test_features_that_are_no_real_numbers_are_refused(problem, value, text):
    with pytest.raises(UserError, match=re.escape(text)):
        evaluate_retrieval(**(problem | {"query_features": value}))


@pytest.mark.parametrize("factor", [1e200, 1e-200, np.float32(1e30), np.float32(1e-30)])
def test_the_length_of_features_does_not_matter(problem, factor):
    expected = evaluate_retrieval(**problem)
    for side in ("query_features", "gallery_features"):
        long = problem[side] * factor if isinstance(factor, float) else problem[side].astype(np.float32) * factor
        found = evaluate_retrieval(**(problem | {side: long}))
        assert found.mean_ap == pytest.approx(expected.mean_ap, abs=1e-6)


def test_integer_distances_that_no_float_holds_keep_their_order():
    scores = evaluate_distances(np.array([[2**60 + 1, 2**60]]), [7], [5, 7], [3], [1, 1])
    assert scores.rank(1) == 1
    scores = evaluate_distances(np.array([[2**60, 2**60 + 1]]), [7], [5, 7], [3], [1, 1])
    assert scores.rank(1) == 0


def test_true_is_no_rank(problem):
    with pytest.raises(UserError, match="ranks must be integers from 1 on"):
        evaluate_retrieval(**problem, ranks=(True, 5))
