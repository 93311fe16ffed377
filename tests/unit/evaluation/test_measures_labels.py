"""Labels that users pass to `evaluate_retrieval` and `evaluate_distances`: right by value, or one clear error."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vireid.core.errors import DataError, UserError
from vireid.core.labels import LARGEST
from vireid.evaluation import evaluate_distances, evaluate_retrieval
from vireid.retrieval import measure

DISTANCES = [[0.2, 0.1, 0.3]]  # the nearest is of another identity, in camera 2: ignored for queries of camera 3
SYSU = {"query_ids": [1], "gallery_ids": [1, 2, 3], "query_cameras": [3], "gallery_cameras": [1, 2, 4]}


def sysu(**change):
    return evaluate_distances(DISTANCES, **(SYSU | change), protocol="sysu").rank(1)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"query_cameras": ["3"], "gallery_cameras": ["1", "2", "4"]},
        {"query_cameras": ["3.0"], "gallery_cameras": [1, 2, 4]},
        {"query_cameras": [3.0], "gallery_cameras": np.array([1, 2, 4], np.float32)},
        {"query_cameras": torch.tensor([3]), "gallery_cameras": torch.tensor([1.0, 2.0, 4.0])},
        {"query_cameras": np.array([3], object), "gallery_cameras": np.array([1, 2, 4], np.uint8)},
        {"query_ids": ["1"], "gallery_ids": ["0001", "2", "3"]},
        {"gallery_ids": [1, -1, -1]},
        {"query_ids": ["mia"], "gallery_ids": ["mia", "leo", "noa"]},
        {"query_ids": [LARGEST], "gallery_ids": [LARGEST, LARGEST - 1, 0]},
    ],
)
def test_the_junk_rule_holds_in_every_form_of_the_labels(change):
    assert sysu(**change) == 1.0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"query_cameras": ["cam3"]}, "query_cameras holds names such as 'cam3'; this protocol needs the"),
        ({"gallery_cameras": ["cam1", "cam2", "cam4"]}, "gallery_cameras holds names such as 'cam1'"),
        ({"query_cameras": [2], "gallery_cameras": [0, 1, 3]}, "query_cameras: entry 0 is camera 2 (1 such entries)"),
        ({"gallery_cameras": [0, 1, 3]}, "gallery_cameras: entry 0 is camera 0 (2 such entries), expected one of"),
        ({"query_cameras": [1], "gallery_cameras": [3, 6, 3]}, "there is no published rule for the other direction"),
        ({"query_cameras": [7]}, "query_cameras: entry 0 is camera 7"),
        ({"query_cameras": [2**31]}, "query_cameras: entry 0 is camera 2147483648"),
        ({"query_cameras": [True]}, "query_cameras holds true and false"),
        ({"query_cameras": [float("nan")]}, "query_cameras: entry 0 is nan"),
        ({"query_cameras": [-3]}, "query_cameras: entry 0 is -3, which is negative"),
        ({"query_cameras": [3.5]}, "query_cameras: entry 0 is 3.5"),
        ({"gallery_cameras": ["1", 2, 4]}, "gallery_cameras mixes text"),
        ({"query_cameras": None}, "query_cameras are missing"),
        ({"query_cameras": [[3]]}, "query_cameras must have one entry for each of the 1 query images"),
        ({"gallery_cameras": [[1], [2, 4], 4]}, "gallery_cameras"),
        ({"query_ids": ["1"], "gallery_ids": ["p1", "p2", "p3"]}, "they can never be equal"),
        ({"query_ids": [None]}, "query_ids: entry 0 is None"),
        ({"query_ids": [-1], "gallery_ids": [-1, 2, 3]}, "query_ids: entry 0 is -1, which is negative"),
        ({"query_ids": [10**21]}, "query_ids: entry 0 is 1000000000000000000000"),
        ({"query_ids": [9]}, "none of the 1 queries has a correct image in the gallery"),
        ({"gallery_ids": [2, 1, 3]}, "none of the 1 queries has a correct image in the gallery"),
    ],
)  # fmt: skip
def test_labels_that_would_switch_the_rule_off_are_refused(change, text):
    with pytest.raises(UserError) as caught:
        sysu(**change)
    assert text in str(caught.value)


def test_llcm_compares_camera_words_with_numbers():
    """The correct image of the same camera is ignored, in whatever form its camera is written."""
    distances = [[0.1, 0.2, 0.3]]
    for query, gallery in (([4], [4, 1, 2]), (["4"], [4, 1, 2]), ([4.0], ["4", "1", "2"])):
        scores = evaluate_distances(distances, [1], [1, 2, 1], query, gallery, protocol="llcm")
        assert scores.rank(1) == 0.0
    with pytest.raises(
        DataError, match=r"expected one of .1, 2, 3, 4, 5, 6, 7, 8, 9.: LLCM numbers its cameras from 1"
    ):
        evaluate_distances(distances, [1], [1, 2, 1], [0], [4, 1, 2], protocol="llcm")


def test_regdb_does_not_use_cameras():
    for cameras in ((None, None), ([9], ["a", "b", "c"]), ([[1, 2]], 5)):
        assert evaluate_distances(DISTANCES, [2], [1, 2, 3], *cameras, protocol="regdb").rank(1) == 1.0
    assert evaluate_distances(DISTANCES, [2], [1, 2, 3], protocol="regdb").rank(1) == 1.0


@pytest.mark.parametrize("protocol", ["sysu", "regdb", "llcm"])
@pytest.mark.parametrize(("queries", "gallery"), [(1, 1), (1, 2), (2, 1), (3, 3)])
def test_the_smallest_sizes(protocol, queries, gallery):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(queries, 4)), rng.normal(size=(gallery, 4))
    scores = evaluate_retrieval(*features, [5] * queries, [5] * gallery, [3] * queries, [1] * gallery, protocol)
    assert (scores.queries, scores.skipped, len(scores.cmc)) == (queries, 0, 20)  # ranks beyond the gallery are padded
    assert scores.rank(20) == scores.rank(1) == 1.0


@pytest.mark.parametrize(("queries", "gallery"), [(0, 3), (2, 0), (0, 0)])
def test_empty_sides_are_one_clear_error(queries, gallery):
    ids = [1] * queries, [1] * gallery, [3] * queries, [1] * gallery
    with pytest.raises(UserError, match="with entries"):
        evaluate_retrieval(np.ones((queries, 4)), np.ones((gallery, 4)), *ids)
    with pytest.raises(UserError, match="with entries"):
        evaluate_distances(np.ones((queries, gallery)), *ids)


def test_skipped_queries_are_counted():
    scores = evaluate_distances(DISTANCES * 3, [1, 8, 9], [1, 2, 3], [3] * 3, [1, 2, 4])
    assert (scores.queries, scores.skipped) == (1, 2)


@pytest.mark.parametrize(
    "ranks", [5, (), "12", (0,), (float("nan"),), (float("inf"),), (1.5,), None, ("1",), (10**12,)]
)
def test_wrong_ranks_are_one_clear_error(ranks):
    with pytest.raises(UserError, match=r"^ranks must be"):
        sysu_with_ranks(ranks)


def sysu_with_ranks(ranks):
    return evaluate_distances(DISTANCES, **SYSU, ranks=ranks)


def test_the_metric_itself_compares_identities_by_value():
    assert measure(np.array(DISTANCES), ["2"], [1, 2, 3], ranks=(1,)).rank(1) == 1.0
    with pytest.raises(UserError, match="can never be equal"):
        measure(np.array(DISTANCES), ["b"], [1, 2, 3])
