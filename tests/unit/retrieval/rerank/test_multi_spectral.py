"""Multi-spectral enhanced ranking against a dense loop over images; views of an evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.core.types import EmbeddingTable, Modality, Trial
from vireid.evaluation import Evaluator
from vireid.retrieval import Similarity
from vireid.retrieval.metrics import Cmc
from vireid.retrieval.rerank import KReciprocal, MultiSpectral


def unit(*shape: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=shape)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def naive(queries: np.ndarray, gallery: np.ndarray, k1: int, k2: int, weight: float, neighbors: str) -> np.ndarray:
    """The definition, with dense matrices and loops; queries (V, Q, D), gallery (W, G, D) -> distances (Q, G)."""
    rows = np.concatenate([*queries, *gallery])
    number, split = len(rows), queries.shape[0] * queries.shape[1]
    squared = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    relative = squared / squared.max(axis=1, keepdims=True)
    among = split if neighbors == "queries" else number
    order = [sorted(range(among), key=lambda j, i=i: (squared[i, j], j)) for i in range(number)]
    near = [set(each[: k1 + 1]) for each in order]
    codes = np.zeros((number, number))
    for i in range(number):
        for j in near[i]:
            if i in near[j]:
                codes[i, j] = np.exp(-relative[i, j])
        codes[i] /= codes[i].sum() or 1
    if k2 > 1:
        codes = np.array([codes[each[:k2]].mean(axis=0) for each in order])
    result = np.zeros((number, number))
    for i in range(number):
        for j in range(number):
            shared = np.minimum(codes[i], codes[j]).sum()
            result[i, j] = (1 - weight) * (1 - shared / (2 - shared)) + weight * relative[i, j]
    blocks = result[:split, split:].reshape(queries.shape[0], queries.shape[1], gallery.shape[0], gallery.shape[1])
    return blocks.mean(axis=(0, 2))


@pytest.mark.parametrize("neighbors", ["all", "queries"])
@pytest.mark.parametrize(("views", "of_gallery"), [(1, 4), (4, 1), (1, 1)])
@pytest.mark.parametrize("k2", [1, 3])
def test_equals_the_definition(neighbors, views, of_gallery, k2):
    queries, gallery = unit(views, 9, 6), unit(of_gallery, 7, 6, seed=1)
    ours = MultiSpectral(k1=4, k2=k2, weight=0.3, neighbors=neighbors)(queries, gallery)
    np.testing.assert_allclose(-ours, naive(queries, gallery, 4, k2, 0.3, neighbors), rtol=1e-9)


def test_one_view_is_the_k_reciprocal_ranking_without_expanded_sets():
    queries, gallery = unit(12, 5), unit(30, 5, seed=1)
    plain = KReciprocal(k1=6, k2=2, expand=False)
    ours = MultiSpectral(k1=6, k2=2, neighbors="all")(queries, gallery)
    np.testing.assert_array_equal(ours, plain(queries, gallery))
    assert not np.array_equal(ours, KReciprocal(k1=6, k2=2)(queries, gallery))
    assert "sets not expanded" in plain.description


def test_wrong_embeddings():
    with pytest.raises(UserError, match=r"gallery must be \(N, D\) embeddings or \(views, N, D\), got \(3,\)"):
        MultiSpectral()(unit(4, 3), np.zeros(3))
    with pytest.raises(UserError, match="with the same D"):
        MultiSpectral()(unit(4, 3), unit(2, 5, 4))
    with pytest.raises(DataError, match="not finite"):
        MultiSpectral()(unit(4, 3), np.full((2, 5, 3), np.nan))


# -- in an evaluation --------------------------------------------------------------------------------------------------


class _OneTrial:
    """Queries of one modality in images of the other one; mixed: queries of both."""

    metric: Cmc = "image"

    def __init__(self, queries: Modality, *, mixed: bool = False) -> None:
        self.queries, self.mixed = queries, mixed

    @property
    def conditions(self) -> dict[str, str | int]:
        return {"protocol": "test"}

    def query_rows(self, table: EmbeddingTable) -> np.ndarray:
        return np.arange(len(table)) if self.mixed else np.flatnonzero(table.modality == self.queries)

    def gallery_rows(self, table: EmbeddingTable) -> np.ndarray:
        return np.flatnonzero(table.modality != self.queries)

    def trials(self, table: EmbeddingTable):
        yield Trial("", self.query_rows(table), self.gallery_rows(table), lambda q, g: np.zeros((len(q), len(g)), bool))


def table(*, views: bool = True) -> EmbeddingTable:
    labels, modality = np.repeat(np.arange(5), 4), np.tile([0, 1], 10)
    channels = unit(3, 20, 6, seed=2).astype(np.float32) if views else None
    return EmbeddingTable(unit(20, 6).astype(np.float32), labels, modality, modality, channel_views=channels)


@pytest.mark.parametrize("queries", Modality)
def test_the_visible_side_is_given_with_its_channels(queries):
    rerank, rows = MultiSpectral(k1=4, k2=2), table()
    visible, infrared = (np.flatnonzero(rows.modality == modality) for modality in (0, 1))
    assert rows.channel_views is not None
    views = np.concatenate([rows.embeddings[None, visible], rows.channel_views[:, visible]])
    sides = (views, rows.embeddings[infrared])
    expected = rerank(*(sides if queries == Modality.VISIBLE else sides[::-1]))
    evaluator = Evaluator(_OneTrial(queries), similarity=Similarity(), rerank=rerank)
    found = evaluator.ranking(rows, k=10).ranking.ids
    gallery = infrared if queries == Modality.VISIBLE else visible
    np.testing.assert_array_equal(found, gallery[np.argsort(-expected, axis=1, kind="stable")])
    assert evaluator.channel_views


def test_a_table_without_channels_and_mixed_sides_are_refused():
    evaluator = Evaluator(_OneTrial(Modality.VISIBLE), similarity=Similarity(), rerank=MultiSpectral())
    with pytest.raises(UserError, match="needs embeddings of the single channels"):
        evaluator(table(views=False))
    mixed = Evaluator(_OneTrial(Modality.VISIBLE, mixed=True), similarity=Similarity(), rerank=MultiSpectral())
    with pytest.raises(UserError, match="one modality each"):
        mixed(table())


def test_other_re_rankings_get_matrices():
    evaluator = Evaluator(_OneTrial(Modality.VISIBLE), similarity=Similarity(), rerank=KReciprocal(k1=3, k2=1))
    assert not evaluator.channel_views
    assert evaluator(table()).means["mAP"] > 0
