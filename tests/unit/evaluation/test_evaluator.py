from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.core.types import EmbeddingTable, Modality, Sample
from vireid.evaluation import Evaluator, QueryGalleryProtocol, SysuProtocol, evaluate_retrieval
from vireid.retrieval import (
    AffinityInference,
    FaissIVF,
    KReciprocal,
    ModalityKReciprocal,
    Similarity,
    TorchExact,
    measure,
)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    rows = [(i, c) for i in range(12) for c in range(1, 7) for _ in range(4)]
    labels, cameras = np.array(rows).T
    features = rng.standard_normal((12, 16))[labels] + 1.5 * rng.standard_normal((len(rows), 16))
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    modality = np.isin(cameras, (3, 6)).astype(np.int64)
    return EmbeddingTable(
        features, labels, cameras, modality, {"feature": "features_bn", "checkpoint": "epoch 3 (last)"}
    )


class CountingSimilarity(Similarity):
    calls = 0

    def __call__(self, queries, gallery):
        self.calls += 1
        return super().__call__(queries, gallery)


@pytest.mark.parametrize("mode", ["all", "indoor"])
def test_trials_equal_separate_evaluations_of_one_score_matrix(table, mode):
    protocol, similarity = SysuProtocol(mode=mode, trials=4), CountingSimilarity()
    report = Evaluator(protocol, similarity=similarity, ranks=(1, 3))(table)
    assert similarity.calls == 1
    assert list(report.trials) == [f"trial {t}" for t in range(4)]
    for trial in protocol.trials(table):
        alone = evaluate_retrieval(
            table.embeddings[trial.query],
            table.embeddings[trial.gallery],
            table.labels[trial.query],
            table.labels[trial.gallery],
            table.cameras[trial.query],
            table.cameras[trial.gallery],
            protocol="sysu",
            ranks=(1, 3),
        )
        np.testing.assert_allclose(report.trials[trial.name].cmc, alone.cmc, atol=1e-12)
        assert report.trials[trial.name].mean_ap == pytest.approx(alone.mean_ap, abs=1e-6)
        assert 0 < alone.mean_inp < alone.mean_ap < 1


def test_conditions_come_from_protocol_and_table(table):
    conditions = Evaluator(SysuProtocol(trials=1), similarity=Similarity())(table).conditions
    assert conditions["mode"] == "all"
    assert conditions["checkpoint"] == "epoch 3 (last)"
    assert conditions["re_ranking"] == conditions["attribute_source"] == "none"


def test_ranked_lists_are_rows_of_the_table(table):
    protocol = SysuProtocol(trials=3)
    lists = Evaluator(protocol, similarity=Similarity()).ranking(table, trial=2, k=5)
    *_, trial = protocol.trials(table)
    assert lists.ranking.ids.shape == (len(trial.query), 5)
    assert set(lists.ranking.ids.ravel()) <= set(trial.gallery)
    similarity = table.embeddings[trial.query] @ table.embeddings[trial.gallery].T
    similarity[trial.junk(trial.query, trial.gallery)] = -2
    np.testing.assert_array_equal(lists.ranking.ids[:, 0], trial.gallery[similarity.argmax(1)])
    np.testing.assert_array_equal(
        lists.correct, table.labels[lists.ranking.ids] == table.labels[lists.queries][:, None]
    )
    assert lists.correct.any()
    assert not lists.correct.all()


def test_removed_images_are_never_correct(table):
    """A gallery of camera 2 alone: nothing is left for the queries of camera 3."""
    kept = np.isin(table.cameras, (2, 3, 6))
    small = EmbeddingTable(table.embeddings[kept], table.labels[kept], table.cameras[kept], table.modality[kept])
    lists = Evaluator(SysuProtocol(mode="indoor", trials=1), similarity=Similarity()).ranking(small, k=20)
    of_camera_3 = small.cameras[lists.queries] == 3
    assert (lists.ranking.ids[of_camera_3] == -1).all()
    assert not lists.correct[of_camera_3].any()
    assert (lists.ranking.ids[~of_camera_3] >= 0).all()


def test_a_trial_that_is_not_there_is_an_error(table):
    with pytest.raises(UserError, match="trial 10 does not exist: the protocol has 10 trials"):
        Evaluator(SysuProtocol(), similarity=Similarity()).ranking(table, trial=10)


def test_a_rehearsal_finds_what_the_data_lacks_without_features():
    samples = [
        Sample(Path(f"{c}.jpg"), 1, Modality.INFRARED if c in (3, 6) else Modality.VISIBLE, c) for c in (1, 2, 3)
    ]
    evaluator = Evaluator(SysuProtocol(), similarity=CountingSimilarity())
    evaluator.validate(samples)
    assert evaluator.similarity.calls == 0
    with pytest.raises(DataError, match="SysuProtocol found no query images"):
        evaluator.validate(samples[:2])
    with pytest.raises(DataError, match="2 shots of identity 1 in camera 1 were asked for"):
        Evaluator(SysuProtocol(shots=2), similarity=CountingSimilarity()).validate(samples)
    with pytest.raises(DataError, match="found no query images"):
        evaluator.validate([])


def test_re_ranking_sees_one_trial_at_a_time_and_is_stated(table):
    """Its answers depend on the whole gallery: the galleries of other draws must not take part."""
    protocol, rerank = SysuProtocol(trials=3), KReciprocal(k1=8, k2=3)
    report = Evaluator(protocol, similarity=Similarity(), rerank=rerank)(table)
    assert report.conditions["re_ranking"] == "k-reciprocal (k1 8, k2 3, weight 0.3)"
    for trial in protocol.trials(table):
        alone = measure(
            rerank(table.embeddings[trial.query], table.embeddings[trial.gallery]),
            table.labels[trial.query],
            table.labels[trial.gallery],
            junk=trial.junk(trial.query, trial.gallery),
            larger_is_closer=True,
        )
        assert report.trials[trial.name].mean_ap == alone.mean_ap
    plain = Evaluator(protocol, similarity=Similarity())(table)
    assert plain.conditions["re_ranking"] == "none"
    assert plain.mean.mean_ap != report.mean.mean_ap


@pytest.mark.parametrize("rerank", [AffinityInference, KReciprocal, ModalityKReciprocal])
def test_the_data_on_which_values_were_chosen_are_a_condition(table, rerank):
    stated = Evaluator(SysuProtocol(trials=1), similarity=Similarity(), rerank=rerank(chosen_on="the test set"))(table)
    assert stated.conditions["re_ranking_values"] == "chosen on the test set"
    plain = Evaluator(SysuProtocol(trials=1), similarity=Similarity(), rerank=rerank())(table)
    assert "re_ranking_values" not in plain.conditions
    assert plain.conditions["transductive"] == stated.conditions["transductive"]


def test_ranked_lists_are_those_of_the_re_ranking(table):
    protocol, rerank = SysuProtocol(trials=1), KReciprocal(k1=8, k2=3)
    lists = Evaluator(protocol, similarity=Similarity(), rerank=rerank).ranking(table, k=3)
    (trial,) = protocol.trials(table)
    scores = rerank(table.embeddings[trial.query], table.embeddings[trial.gallery])
    scores[trial.junk(trial.query, trial.gallery)] = -np.inf
    np.testing.assert_array_equal(lists.ranking.ids[:, 0], trial.gallery[scores.argmax(axis=1)])


def test_an_exact_index_changes_nothing_but_the_conditions(table):
    protocol = SysuProtocol(trials=2)
    plain = Evaluator(protocol, similarity=Similarity())(table)
    indexed = Evaluator(protocol, similarity=Similarity(), index=TorchExact)(table)
    assert indexed.conditions["search"] == "exact search (torch)"
    assert "search" not in plain.conditions
    assert indexed.mean.mean_ap == pytest.approx(plain.mean.mean_ap, abs=1e-9)
    lists = Evaluator(protocol, similarity=Similarity(), index=TorchExact).ranking(table, k=4)
    np.testing.assert_array_equal(
        lists.ranking.ids, Evaluator(protocol, similarity=Similarity()).ranking(table, k=4).ranking.ids
    )


def test_approximate_search_says_so(table):
    pytest.importorskip("faiss", reason="faiss is not installed")
    protocol = QueryGalleryProtocol()
    plain = Evaluator(protocol, similarity=Similarity())(table)
    report = Evaluator(protocol, similarity=Similarity(), index=lambda: FaissIVF(lists=4, probes=1))(table)
    assert "approximate with recall@10 0." in report.conditions["search"]
    assert report.mean.mean_ap != plain.mean.mean_ap


def test_a_row_has_one_way_of_searching():
    with pytest.raises(UserError, match="either re-ranked or searched by an index"):
        Evaluator(SysuProtocol(), similarity=Similarity(), rerank=KReciprocal(), index=TorchExact)
