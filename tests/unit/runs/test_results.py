"""What an evaluation leaves on disk is what it measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vireid.core.types import EmbeddingTable, Modality, Sample
from vireid.evaluation import Evaluator, SysuProtocol
from vireid.retrieval import Similarity
from vireid.runs.results import save_features, save_queries, save_rankings


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    labels, cameras = np.array([(i, c) for i in range(6) for c in range(1, 7) for _ in range(2)]).T
    features = rng.standard_normal((6, 8))[labels] + rng.standard_normal((len(labels), 8))
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    return EmbeddingTable(features, labels, cameras, np.isin(cameras, (3, 6)).astype(np.int64))


def test_means_over_the_saved_queries_are_the_report(table, tmp_path):
    reports = {
        mode: Evaluator(SysuProtocol(mode=mode, trials=3), similarity=Similarity(), ranks=(1, 3))(table)
        for mode in ("all", "indoor")
    }
    save_queries(tmp_path / "queries.npz", reports, table)
    with np.load(tmp_path / "queries.npz", allow_pickle=False) as saved:
        for mode, report in reports.items():
            counted, first = saved[f"{mode}/counted"], saved[f"{mode}/first"]
            assert counted.shape == (3, len(saved[f"{mode}/row"]))
            assert np.array_equal(saved[f"{mode}/id"], table.labels[saved[f"{mode}/row"]])
            for line, scores in enumerate(report.trials.values()):
                asked = counted[line]
                assert asked.sum() == scores.queries
                assert (first[line, asked] <= 3).mean() == pytest.approx(scores.rank(3))
                assert saved[f"{mode}/average_precision"][line, asked].mean() == pytest.approx(scores.mean_ap, abs=1e-6)
                assert saved[f"{mode}/inverse_penalty"][line, asked].mean() == pytest.approx(scores.mean_inp, abs=1e-6)


def test_descriptors_come_back(table, tmp_path):
    save_features(tmp_path / "features.npz", table)
    with np.load(tmp_path / "features.npz", allow_pickle=False) as saved:
        np.testing.assert_allclose(saved["features"], table.embeddings, atol=1e-3)
        assert np.array_equal(saved["labels"], table.labels)
        assert np.array_equal(saved["modality"], table.modality)


@pytest.mark.parametrize("names", [{}, {1: "yard", 3: "gate"}])
def test_camera_names_are_saved_with_the_ranked_lists(table, tmp_path, names):
    samples = [Sample(Path(f"{row}.jpg"), 0, Modality.VISIBLE, 1) for row in range(len(table))]
    evaluators = {"all": Evaluator(SysuProtocol(trials=1), similarity=Similarity())}
    save_rankings(tmp_path / "rankings.npz", evaluators, replace(table, camera_names=names), samples)
    with np.load(tmp_path / "rankings.npz", allow_pickle=False) as saved:
        assert ("all/camera_name" in saved) == bool(names)
        if names:
            found = zip(saved["all/camera_number"].tolist(), saved["all/camera_name"].tolist())
            assert dict(found) == names
