"""Against the definition written as loops over images and whole matrices, in several blocks."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import ArgumentError, DataError
from vireid.retrieval import KReciprocal, ModalityKReciprocal
from vireid.retrieval.rerank import distances, k_reciprocal


def sides(seed, queries=22, gallery=27, shift=0.4):
    """Unit rows of a few people; the second side is shifted as by another modality."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((6, 10))
    left, right = (centers[rng.integers(0, 6, n)] + 0.6 * rng.standard_normal((n, 10)) for n in (queries, gallery))
    right = right + shift * rng.standard_normal(10)
    return tuple(rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (left, right))


class Loops:
    """All variants by loops over images."""

    def __init__(self, queries, gallery, k1, k2, weight, k3=None):
        self.rows, self.split = np.concatenate([queries, gallery]), len(queries)
        self.number = len(self.rows)
        self.d = 1 - self.rows @ self.rows.T
        np.fill_diagonal(self.d, 0)
        self.k1, self.k2, self.k3, self.weight, self.inner = k1, k2, k3, weight, round(k1 / 2)
        self.all, self.q, self.g = range(self.number), range(self.split), range(self.split, self.number)

    def near(self, i, side, k):
        return sorted(side, key=lambda j: (self.d[i, j], j))[:k]

    def mutual(self, i, side, k):
        return {j for j in self.near(i, side, k) if i in self.near(j, side, k)}

    def across(self, i, k):
        own, other = (self.q, self.g) if i < self.split else (self.g, self.q)
        return {j for j in self.near(i, other, k) if i in self.near(j, own, k)}

    def codes(self, members, inner, furthest, lists):
        table = np.zeros((self.number, self.number))
        for i in self.all:
            own = members(i)
            expanded = set(own)
            for j in own:
                others = inner(j)
                if len(others & own) > 2 / 3 * len(others):
                    expanded |= others
            if expanded:
                columns = sorted(expanded)
                values = np.exp(-self.d[i, columns] / furthest(i))
                table[i, columns] = values / values.sum()
        return table if self.k2 == 1 else np.stack([table[lists(i)].mean(axis=0) for i in self.all])

    def of_side(self, side):
        def members(i):
            return self.mutual(i, side, self.k1 + 1) if i in side else self.across(i, self.k1 + 1)

        return self.codes(
            members,
            lambda j: self.mutual(j, side, self.inner + 1),
            lambda i: self.d[i, list(side)].max(),
            lambda i: self.near(i, side, self.k2),
        )

    def expansion(self, otherwise):
        if self.k3 is None:
            return otherwise
        return lambda i: self.near(i, self.q, self.k2 - self.k3) + self.near(i, self.g, self.k3)

    def distance(self, search):
        if search == "constrained":
            tables = [self.of_side(self.g), self.of_side(self.q)]
        elif search == "divided":
            table = self.codes(
                lambda i: self.mutual(i, self.q, self.k1 + 1) if i < self.split else set(),
                lambda j: self.mutual(j, self.q, self.inner + 1) if j < self.split else set(),
                lambda i: self.d[i, : self.split].max(),
                self.expansion(lambda i: self.near(i, self.q, self.k2)),
            )
            tables = [table]
        else:

            def members(i):
                own = self.mutual(i, self.all, self.k1 + 1)
                return own | self.across(i, self.k1 + 1) if search == "extended" else own

            table = self.codes(
                members,
                lambda j: self.mutual(j, self.all, self.inner + 1),
                lambda i: self.d[i].max(),
                self.expansion(lambda i: self.near(i, self.all, self.k2)),
            )
            tables = [table]
        jaccard = 0
        for table in tables:
            shared = np.minimum(table[: self.split, None], table[None, self.split :]).sum(-1)
            jaccard = jaccard + (1 - shared / (2 - shared)) / len(tables)
        relative = self.d / self.d.max(axis=1, keepdims=True)
        return self.weight * relative[: self.split, self.split :] + (1 - self.weight) * jaccard


@pytest.mark.parametrize(
    ("search", "k1", "k2", "k3"),
    [
        ("all", 7, 3, None),
        ("all", 6, 5, 2),
        ("extended", 8, 4, None),
        ("extended", 5, 7, 3),
        ("extended", 9, 1, None),
        ("divided", 6, 4, None),
        ("divided", 7, 5, 2),
        ("divided", 6, 1, None),
        ("constrained", 6, 4, None),
        ("constrained", 9, 1, None),
        ("constrained", 30, 26, None),
    ],
)
def test_equals_the_loops(monkeypatch, search, k1, k2, k3):
    monkeypatch.setattr(distances, "BLOCK", 300)
    monkeypatch.setattr(k_reciprocal, "PAIRS", 200)
    queries, gallery = sides(k1)
    ours = ModalityKReciprocal(search=search, k1=k1, k2=k2, weight=0.3, gallery_neighbors=k3)(queries, gallery)
    np.testing.assert_allclose(-ours, Loops(queries, gallery, k1, k2, 0.3, k3).distance(search), rtol=1e-9, atol=1e-12)


def test_all_without_gallery_neighbors_is_k_reciprocal():
    queries, gallery = sides(3)
    ours = ModalityKReciprocal(search="all", k1=8, k2=4, weight=0.2)(queries, gallery)
    np.testing.assert_allclose(ours, KReciprocal(k1=8, k2=4, weight=0.2)(queries, gallery), rtol=1e-9)


def test_divided_without_expansion_keeps_the_order_of_distances():
    queries, gallery = sides(4)
    ours = ModalityKReciprocal(search="divided", k1=6, k2=1)(queries, gallery)
    assert np.array_equal(ours.argsort(axis=1), (queries @ gallery.T).argsort(axis=1))


@pytest.mark.parametrize("search", ["all", "extended", "divided", "constrained"])
def test_row_order_does_not_matter(search):
    queries, gallery = sides(5)
    rerank = ModalityKReciprocal(search=search, k1=6, k2=3)
    rng = np.random.default_rng(0)
    q, g = rng.permutation(len(queries)), rng.permutation(len(gallery))
    np.testing.assert_allclose(rerank(queries[q], gallery[g]), rerank(queries, gallery)[q][:, g], rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"search": "extendd"}, "did you mean 'extended'"),
        ({"k1": 0}, "k1 must be at least 1"),
        ({"weight": 2.0}, "weight must be in"),
        ({"k2": 3, "gallery_neighbors": 4}, r"gallery_neighbors must be in 0 .. k2 \(3\), got 4"),
        ({"search": "constrained", "gallery_neighbors": 1}, "is not for search 'constrained'"),
        ({"released_rows": True}, "released_rows is for search 'constrained'"),
    ],
)
def test_arguments(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        ModalityKReciprocal(**arguments)


def test_divided_needs_as_many_queries_as_neighbors():
    queries, gallery = sides(6, queries=5)
    with pytest.raises(DataError, match="needs 9 queries, got 5"):
        ModalityKReciprocal(search="divided", k1=8, k2=2)(queries, gallery)


def test_description():
    rerank = ModalityKReciprocal(search="extended", k1=35, k2=35, gallery_neighbors=4, weight=0.1)
    assert rerank.description == "modality-aware k-reciprocal (extended, k1 35, k2 35, of them 4 gallery, weight 0.1)"
