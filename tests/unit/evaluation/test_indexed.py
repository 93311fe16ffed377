from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import UserError
from vireid.evaluation.indexed import MISSED, IndexedSimilarity
from vireid.retrieval import Similarity, TorchExact


class Forgetful(TorchExact):
    """Never finds the images with odd ids."""

    exact = False
    description = "forgetful"

    def search(self, queries, k, allowed=None):
        return super().search(queries, k, np.arange(len(self)) % 2 == 0)


@pytest.fixture
def sides():
    rows = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[:20], rows[20:]


def test_an_exact_index_gives_the_matrix(sides):
    score = IndexedSimilarity(lambda: TorchExact(device="cpu"), exact=Similarity())
    np.testing.assert_allclose(score(*sides), Similarity()(*sides), rtol=0, atol=1e-6)
    assert score.recall is None
    assert score.description == "exact search (torch)"


def test_missed_images_stand_last_and_the_recall_is_said(sides):
    score = IndexedSimilarity(lambda: Forgetful(device="cpu"), exact=Similarity())
    matrix, exact = score(*sides), Similarity()(*sides)
    assert (matrix[:, 1::2] == MISSED).all()
    np.testing.assert_allclose(matrix[:, ::2], exact[:, ::2], rtol=0, atol=1e-6)
    best = np.argsort(-exact, axis=1)[:, :10]
    assert score.recall == pytest.approx((best % 2 == 0).mean())
    assert score.description == f"forgetful: approximate with recall@10 {score.recall:.3f} of the exact search"
    other = sides[1][::-1]
    score(sides[0], other)
    again = np.argsort(-(sides[0] @ other.T), axis=1)[:, :10]
    assert score.recall == pytest.approx(((best % 2 == 0).mean() + (again % 2 == 0).mean()) / 2)


def test_an_index_that_holds_vectors_is_refused(sides):
    full = TorchExact(device="cpu")
    full.add(sides[1])
    with pytest.raises(UserError, match="already holds 40 embeddings: an evaluation needs an empty index"):
        IndexedSimilarity(lambda: full, exact=Similarity())(*sides)
