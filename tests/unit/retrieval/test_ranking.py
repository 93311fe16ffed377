from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.retrieval.ranking import Ranking, rank_rows


def test_best_first_equal_scores_by_id():
    ranking = rank_rows(np.array([[0.2, 0.7, 0.7, 0.9, 0.2]]))
    assert ranking.ids.tolist() == [[3, 1, 2, 0, 4]]
    assert ranking.scores.tolist() == [[0.9, 0.7, 0.7, 0.2, 0.2]]


def test_many_equal_scores_are_ordered_by_id():
    scores = np.tile([0.5, 0.75], 300)[None].astype(np.float32)
    assert rank_rows(scores).ids.tolist() == [[*range(1, 600, 2), *range(0, 600, 2)]]


def test_junk_leaves_minus_one_at_the_end():
    ranking = rank_rows(np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]]), junk=np.array([[True, False, True], [False] * 3]))
    assert ranking.ids.tolist() == [[1, -1, -1], [2, 1, 0]]
    assert np.isneginf(ranking.scores[0, 1:]).all()


def test_top_and_mapped():
    ranking = rank_rows(np.array([[1.0, 3.0, 2.0]]), junk=np.array([[True, False, False]]))
    assert ranking.mapped(np.array([10, 11, 12])).ids.tolist() == [[11, 12, -1]]
    assert ranking.top(1).ids.tolist() == rank_rows(np.array([[1.0, 3.0, 2.0]]), k=1).ids.tolist() == [[1]]
    assert len(ranking) == 1


@pytest.mark.parametrize(
    ("ids", "scores", "text"),
    [
        ([[0, 1]], [[0.5]], "must both be"),
        ([[0, 1]], [[0.5, 0.6]], "must not increase"),
        ([[0, -1]], [[0.5, 0.4]], "must be -inf where the id is -1"),
        ([[0, 1]], [[0.5, -np.inf]], "must be -inf where the id is -1"),
    ],
)
def test_a_ranking_is_checked_when_made(ids, scores, text):
    with pytest.raises(UserError, match=text):
        Ranking(np.array(ids), np.array(scores))


def test_nan_cannot_be_ranked():
    with pytest.raises(DataError, match="NaN"):
        rank_rows(np.array([[np.nan, 1.0]]))
