"""Against the definition written as loops over images and whole matrices."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.retrieval import KReciprocal
from vireid.retrieval.rerank import distances, k_reciprocal


def people(rng, images, identities=9, width=16, spread=0.7, dtype=np.float64):
    rows = rng.standard_normal((identities, width))[rng.integers(0, identities, images)]
    rows = rows + spread * rng.standard_normal(rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(dtype)


def plain(queries, gallery, k1, k2, weight, only_queries=False):
    rows, asking = np.concatenate([queries, gallery]), len(queries)
    apart = ((rows[:, None] - rows[None]) ** 2).sum(-1)
    apart = apart / apart.max(axis=1, keepdims=True)
    ranked = apart.copy()
    if only_queries:
        ranked[:, asking:] = np.inf
    order = np.argsort(ranked, axis=1, kind="stable")

    def mutual(i, k):
        return {j for j in order[i, : k + 1] if i in order[j, : k + 1]}

    codes = np.zeros_like(apart)
    for i in range(len(rows)):
        own = mutual(i, k1)
        expanded = set(own)
        for j in own:
            others = mutual(j, round(k1 / 2))
            if len(others & own) > 2 / 3 * len(others):
                expanded |= others
        if expanded:
            members = sorted(expanded)
            codes[i, members] = np.exp(-apart[i, members]) / np.exp(-apart[i, members]).sum()
    if k2 > 1:
        codes = np.stack([codes[order[i, :k2]].mean(axis=0) for i in range(len(rows))])
    shared = np.minimum(codes[:asking, None], codes[None, asking:]).sum(-1)
    return (1 - weight) * (1 - shared / (2 - shared)) + weight * apart[:asking, asking:]


@pytest.mark.parametrize(
    ("k1", "k2", "weight", "neighbors"),
    [
        (20, 6, 0.3, "all"),
        (7, 1, 0.0, "all"),
        (5, 9, 1.0, "all"),
        (11, 3, 0.5, "queries"),
        (30, 4, 0.3, "queries"),
    ],
)
def test_equals_the_loops(monkeypatch, k1, k2, weight, neighbors):
    monkeypatch.setattr(distances, "BLOCK", 500)  # several blocks of each kind
    monkeypatch.setattr(k_reciprocal, "PAIRS", 300)
    rng = np.random.default_rng(k1)
    queries, gallery = people(rng, 25), people(rng, 60)
    rerank = KReciprocal(k1=k1, k2=k2, weight=weight, neighbors=neighbors)
    expected = plain(queries, gallery, k1, k2, weight, neighbors == "queries")
    np.testing.assert_allclose(-rerank(queries, gallery), expected, rtol=0, atol=1e-12)
    single = rerank(queries.astype(np.float32), gallery.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(-single, expected, rtol=0, atol=1e-5)


def test_copies_are_ordered_by_row():
    """Five copies of each image: every neighbourhood is full of ties."""
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.integers(-2, 3, (12, 8)).astype(np.float64), 5, axis=0)
    queries, gallery = rows[:20], rows[20:]
    np.testing.assert_allclose(
        -KReciprocal(k1=7, k2=3)(queries, gallery), plain(queries, gallery, 7, 3, 0.3), rtol=0, atol=1e-12
    )


def test_more_neighbours_than_images():
    rng = np.random.default_rng(0)
    queries, gallery = people(rng, 3), people(rng, 5)
    scores = KReciprocal(k1=50, k2=20)(queries, gallery)
    np.testing.assert_allclose(-scores, plain(queries, gallery, 50, 20, 0.3), rtol=0, atol=1e-12)


@pytest.mark.parametrize("cosine", [0.9, 0.999, 0.999999])
def test_float32_where_embeddings_share_a_direction(cosine):
    rng = np.random.default_rng(0)
    rows = np.sqrt(cosine) * np.eye(17)[16] + np.sqrt(1 - cosine) * np.pad(
        people(rng, 80, spread=0.3), ((0, 0), (0, 1))
    )
    queries, gallery = rows[:20].astype(np.float32), rows[20:].astype(np.float32)
    exact = plain(queries.astype(np.float64), gallery.astype(np.float64), 12, 4, 0.3)
    np.testing.assert_allclose(-KReciprocal(k1=12, k2=4)(queries, gallery), exact, rtol=0, atol=1e-4)


def test_equal_images_have_equal_distances():
    rows = np.full((9, 4), 0.5)
    scores = KReciprocal(k1=20, k2=2)(rows[:3], rows[3:])
    np.testing.assert_allclose(scores, np.broadcast_to(scores[:, :1], (3, 6)), rtol=0, atol=1e-12)


def test_half_precision_moves_the_result_only_a_little_where_neighbours_are_clear():
    rng = np.random.default_rng(0)
    queries, gallery = people(rng, 20, spread=0.05), people(rng, 40, spread=0.05)
    exact = KReciprocal(k1=12, k2=3)(queries, gallery)
    for half in (("weights",), ("distances",), ("distances", "weights")):
        rounded = KReciprocal(k1=12, k2=3, half=half)(queries, gallery)
        assert np.median(np.abs(rounded - exact)) < 2e-3
        assert (rounded != exact).any()


def test_it_finds_more_of_the_same_people():
    rng = np.random.default_rng(0)
    ids = np.arange(30).repeat(12)
    rows = rng.standard_normal((30, 32))[ids] + 1.3 * rng.standard_normal((360, 32))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    asking = np.arange(len(rows)) % 12 == 0
    queries, gallery, same = rows[asking], rows[~asking], ids[asking, None] == ids[~asking]
    plainly, again = queries @ gallery.T, KReciprocal(k1=11, k2=4)(queries, gallery)
    found = [np.take_along_axis(same, (-s).argsort(1)[:, :11], 1).mean() for s in (plainly, again)]
    assert found[1] > found[0] + 0.05


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"k1": 0}, "k1 and k2 must be at least 1, got 0 and 6"),
        ({"weight": 1.5}, r"weight must be in \[0, 1\], got 1.5"),
        ({"neighbors": "query"}, "did you mean 'queries'"),
        ({"half": ("weight",)}, "did you mean 'weights'"),
    ],
)
def test_impossible_arguments(arguments, text):
    with pytest.raises(UserError, match=text):
        KReciprocal(**arguments)


def test_bad_features():
    good = np.eye(4, dtype=np.float32)
    with pytest.raises(UserError, match=r"same D and G at least 1, got \(4, 4\) and \(4, 3\)"):
        KReciprocal()(good, good[:, :3])
    bad = good.copy()
    bad[2, 1] = np.inf
    with pytest.raises(DataError, match="gallery embeddings: row 2 is not finite"):
        KReciprocal()(good, bad)
