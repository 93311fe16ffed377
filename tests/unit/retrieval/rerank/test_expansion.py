from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import UserError
from vireid.retrieval import DatabaseAugmentation, KReciprocal, QueryExpansion
from vireid.retrieval.rerank import expansion


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def plain(row, others, k, alpha):
    """A unit row and its k best others, one by one."""
    similar = others @ row
    total = row.copy()
    for j in np.argsort(-similar)[:k]:
        total = total + max(similar[j], 0) ** alpha * others[j]
    return unit(total)


@pytest.fixture
def sides(monkeypatch):
    monkeypatch.setattr(expansion, "BLOCK", 100)
    rng = np.random.default_rng(0)
    return unit(rng.standard_normal((9, 6))), unit(rng.standard_normal((30, 6)))


@pytest.mark.parametrize(("k", "alpha"), [(1, 0.5), (4, 3.0), (30, 1.0)])
def test_queries_take_in_their_answers(sides, k, alpha):
    queries, gallery = sides
    expected = np.stack([plain(row, gallery, k, alpha) for row in queries]) @ gallery.T
    np.testing.assert_allclose(QueryExpansion(k=k, alpha=alpha)(3 * queries, gallery), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("k", "alpha"), [(1, 0.5), (4, 3.0), (29, 1.0)])
def test_gallery_images_take_in_their_neighbours_and_not_themselves(sides, k, alpha):
    queries, gallery = sides
    changed = [plain(row, np.delete(gallery, i, axis=0), k, alpha) for i, row in enumerate(gallery)]
    np.testing.assert_allclose(
        DatabaseAugmentation(k=k, alpha=alpha)(queries, gallery), queries @ np.stack(changed).T, rtol=0, atol=1e-12
    )


def test_one_after_the_other(sides):
    queries, gallery = sides
    both = DatabaseAugmentation(k=3, then=QueryExpansion(k=2, then=KReciprocal(k1=5)))
    changed = np.stack([plain(row, np.delete(gallery, i, axis=0), 3, 3.0) for i, row in enumerate(gallery)])
    asking = np.stack([plain(row, changed, 2, 3.0) for row in queries])
    np.testing.assert_allclose(both(queries, gallery), KReciprocal(k1=5)(asking, changed), rtol=0, atol=1e-10)
    assert both.description == (
        "database augmentation (k 3, alpha 3), then alpha query expansion (k 2, alpha 3),"
        " then k-reciprocal (k1 5, k2 6, weight 0.3)"
    )


@pytest.mark.parametrize("kind", [QueryExpansion, DatabaseAugmentation])
def test_impossible_arguments(kind):
    with pytest.raises(UserError, match="k must be at least 1, got 0"):
        kind(k=0)
    with pytest.raises(UserError, match="alpha must be at least 0, got -1"):
        kind(alpha=-1.0)
