from __future__ import annotations

import json

import numpy as np
import pytest

from vireid.core.errors import ArgumentError, DataError, UserError
from vireid.core.types import EmbeddingTable
from vireid.evaluation import Evaluator, SysuProtocol
from vireid.evaluation.open_set import OpenSet, OpenSetReport
from vireid.evaluation.open_set.report import thinned
from vireid.retrieval import FaissIVF, KReciprocal, Similarity


def table_of(people, seed=0, noise=1.5):
    rng = np.random.default_rng(seed)
    rows = [(i, c) for i in people for c in range(1, 7) for _ in range(3)]
    labels, cameras = np.array(rows).T
    center = {i: rng.standard_normal(16) for i in people}
    features = np.array([center[i] for i in labels]) + noise * rng.standard_normal((len(rows), 16))
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    return EmbeddingTable(features, labels, cameras, np.isin(cameras, (3, 6)).astype(np.int64))


@pytest.fixture(scope="module")
def test_table():
    return table_of(range(12))


@pytest.fixture(scope="module")
def heldout():
    return table_of(range(100, 110), seed=1)


def evaluator(**arguments):
    return Evaluator(SysuProtocol(trials=3), similarity=Similarity(), open_set=OpenSet(**arguments))


def naive_trial(table, trial, enrolled, limit):
    """Rates of one trial by a loop over probes and identities: (alarms, searches), (misses, searches), wrong names."""
    alarms, misses, wrong = [], [], []
    matrix = Similarity()(table.embeddings[trial.query], table.embeddings[trial.gallery])
    for query, row in zip(trial.query, matrix):
        scores = {}
        for column, score in zip(trial.gallery, row):
            person = table.labels[column]
            if person in enrolled and not trial.junk(np.array([query]), np.array([column]))[0, 0]:
                scores[person] = max(score, scores.get(person, -np.inf))
        mate = table.labels[query]
        if mate not in enrolled:
            alarms.append(max(scores.values()) > limit)
        elif mate in scores:
            rank = 1 + sum(score >= scores[mate] for person, score in scores.items() if person != mate)
            misses.append(not (rank == 1 and scores[mate] > limit))
            wrong.append(rank > 1 and max(scores.values()) > limit)
    return np.mean(alarms), np.mean(misses), np.mean(wrong)


@pytest.mark.parametrize("threshold", ["heldout", "oracle"])
def test_rates_equal_a_loop(test_table, heldout, threshold):
    open_set = evaluator(threshold=threshold, trials=4, fpir=(0.2,))
    report = open_set.open_set_report(test_table, heldout if threshold == "heldout" else None)
    trials = list(open_set.protocol.trials(test_table))
    expected = []
    for number in range(4):
        trial = trials[number % 3]
        enrolled = np.random.default_rng([0, number]).permutation(12)[:6]
        limit = report.rates[0].limits[0] if threshold == "heldout" else report.rates[0].limits[number]
        expected.append(naive_trial(test_table, trial, enrolled, limit))
    alarms, misses, wrong = np.array(expected).T
    rates = report.rates[0]
    assert rates.fpir.mean == pytest.approx(alarms.mean())
    assert rates.fpir.spread == pytest.approx(alarms.std(ddof=1))
    assert rates.fnir[1].mean == pytest.approx(misses.mean())
    assert rates.misidentified == pytest.approx(wrong.mean())
    assert 0 < misses.mean() < 1
    assert (alarms.max() <= 0.2) or threshold == "heldout"
    assert report.enrolled == 6
    assert (report.rule is None) == (threshold == "oracle")
    for rate in (rates.fpir, rates.fnir[1]):
        assert rate.interval[0] <= rate.mean <= rate.interval[1]


def test_a_heldout_threshold_does_not_depend_on_the_test_set(test_table, heldout):
    open_set = evaluator(fpir=(0.1, 0.3))
    report = open_set.open_set_report(test_table, heldout)
    other = open_set.open_set_report(table_of(range(12), seed=5), heldout)
    assert report.rule == other.rule
    assert report.rule.enrolled == report.enrolled == 6
    assert [rates.limits for rates in report.rates] == [(point.limit,) for point in report.rule.points]
    assert report.rates[0].fpir.mean != other.rates[0].fpir.mean


def test_json_and_text(test_table, heldout):
    report = evaluator(fpir=(0.1, 0.3), ranks=(1, 3)).open_set_report(test_table, heldout)
    assert OpenSetReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    text = "\n".join(report.lines())
    assert "FNIR rank-3" in text
    assert "enrolled: 6 of 12 identities" in text
    assert "10 held-out identities with 6 enrolled" in text
    assert "calibration: ECE" in text
    oracle = evaluator(threshold="oracle").open_set_report(test_table)
    assert "threshold: oracle (chosen on the test searches)" in oracle.lines()
    assert oracle.calibration is None


def test_an_honest_threshold_is_near_the_wanted_rate():
    """Both sets are of one distribution, so that the rate on new identities is about the wanted one."""
    report = evaluator(fpir=(0.2,)).open_set_report(table_of(range(60), seed=3), table_of(range(100, 160), seed=4))
    assert report.rates[0].fpir.mean == pytest.approx(0.2, abs=0.1)
    assert report.calibration.ece < 0.05
    assert report.calibration.cllr < 1


def test_fewer_heldout_identities_than_enrolled_are_stated(test_table):
    report = evaluator().open_set_report(test_table, table_of(range(100, 104), seed=1))
    assert report.rule.enrolled == 3
    assert "with 3 enrolled; the rates are for 6, and FPIR increases with the number" in "\n".join(report.lines())


def test_refused_combinations(test_table, heldout):
    with pytest.raises(UserError, match="remove RERANKING or OPEN_SET"):
        Evaluator(SysuProtocol(), similarity=Similarity(), open_set=OpenSet(), rerank=KReciprocal())
    with pytest.raises(UserError, match="remove INDEX or OPEN_SET"):
        Evaluator(SysuProtocol(), similarity=Similarity(), open_set=OpenSet(), index=FaissIVF)
    with pytest.raises(UserError, match="needs embeddings of held-out identities"):
        evaluator().open_set_report(test_table)
    with pytest.raises(DataError, match="enrolls 0 of 12 identities"):
        evaluator(enrolled=0.01).open_set_report(test_table, heldout)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"enrolled": 1.0}, "enrolled must be in"),
        ({"trials": 0}, "trials must be at least 1"),
        ({"fpir": (2.0,)}, "fpir must be"),
        ({"ranks": ()}, "ranks must be"),
        ({"confidence": 95}, "confidence must be in"),
        ({"threshold": "test"}, "threshold must be one of"),
        ({"fusion": "sum"}, "fusion must be one of"),
        ({"sure": True, "threshold": "oracle"}, "sure is for thresholds of held-out"),
    ],
)
def test_arguments(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        OpenSet(**arguments)


def test_thinned_curves_keep_their_ends():
    x = np.linspace(0, 1, 5000)
    a, b = thinned(x, 1 - x**2, points=50)
    assert len(a) == len(b) <= 52
    assert (a[0], a[-1], b[0], b[-1]) == (0.0, 1.0, 1.0, 0.0)
    np.testing.assert_allclose(b, 1 - np.array(a) ** 2)
    assert thinned(np.zeros(1), np.ones(1)) == [(0.0,), (1.0,)]
