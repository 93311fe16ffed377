from __future__ import annotations

import json

import numpy as np
import pytest

from vireid.evaluation import Report, format_table
from vireid.retrieval import Scores


def scores(rank1, mean_ap, mean_inp, queries=10):
    return Scores(np.array([rank1, 1.0]), mean_ap, mean_inp, queries=queries, skipped=1, chance=0.1, ranks=(1, 2))


SKIPPED = "skipped queries: 1 of 11 (no correct gallery image counts for them; they are in no mean)"


@pytest.fixture
def report():
    trials = {"trial 0": scores(0.5, 0.4, 0.3), "trial 1": scores(0.6, 0.2, 0.3)}
    return Report(trials, {"protocol": "SYSU-MM01", "mode": "all", "trials": 2})


def test_mean_and_spread_over_the_trials(report):
    assert report.mean.cmc.tolist() == [0.55, 1.0]
    assert (report.mean.mean_ap, report.mean.mean_inp) == pytest.approx((0.3, 0.3))
    assert (report.mean.queries, report.mean.skipped) == (20, 2)
    expected = {"rank1": 0.1 / 2**0.5, "rank2": 0, "mAP": 0.2 / 2**0.5, "mINP": 0}
    assert report.spread == pytest.approx(expected, abs=1e-15)


def test_json_has_numbers_and_conditions(report):
    stored = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert stored["mean"] == pytest.approx({"rank1": 0.55, "rank2": 1.0, "mAP": 0.3, "mINP": 0.3})
    assert stored["cmc"] == pytest.approx([0.55, 1.0])
    assert stored["trials"][1] == {
        "name": "trial 1", "rank1": 0.6, "rank2": 1.0, "mAP": 0.2, "mINP": 0.3, "queries": 10, "skipped": 1,
    }  # fmt: skip
    assert stored["skipped_queries"] == {"skipped": 2, "of": 22}
    assert stored["conditions"] == {
        "protocol": "SYSU-MM01",
        "mode": "all",
        "trials": 2,
        "feature": "not stated",
        "re_ranking": "none",
        "attribute_source": "none",
        "checkpoint": "not stated",
    }


def test_one_trial_has_no_spread():
    report = Report({"only": scores(0.5, 0.4, 0.3)})
    assert set(report.spread.values()) == {None}
    assert "±" not in str(report)


def test_the_table_is_in_percent_with_its_conditions(report):
    indoor = Report(report.trials, {**report.conditions, "mode": "indoor"})
    assert format_table({"all": report, "indoor": indoor}).splitlines() == [
        "        rank-1      rank-2       mAP          mINP",
        "all     55.0 ± 7.1  100.0 ± 0.0  30.0 ± 14.1  30.0 ± 0.0",
        "indoor  55.0 ± 7.1  100.0 ± 0.0  30.0 ± 14.1  30.0 ± 0.0",
        "percent; mean ± sample standard deviation over the trials",
        "rank-1 of a gallery in random order: all 10.0, indoor 10.0",
        f"all: {SKIPPED}",
        f"indoor: {SKIPPED}",
        "feature not stated, re-ranking none, attribute source none, checkpoint not stated, protocol SYSU-MM01,"
        " trials 2",
        "all: mode all",
        "indoor: mode indoor",
    ]


def test_an_oracle_is_marked(report):
    oracle = Report(report.trials, {**report.conditions, "attribute_source": "labels"})
    lines = format_table({"ours": report, "theirs": oracle}).splitlines()
    assert "†" not in lines[1]
    assert lines[2].count("†") == 4
    assert any(line.startswith("† oracle") for line in lines[3:])


def test_re_ranked_rows_have_a_star_with_a_footnote(report):
    uses = {"aim": "uses the gallery", "expanded": "uses the gallery", "k": "uses the gallery and the other queries"}
    reranked = {name: Report(report.trials, {**report.conditions, "transductive": use}) for name, use in uses.items()}
    lines = format_table({"plain": report, **reranked}).splitlines()
    assert [line.split("  ")[0] for line in lines[1:5]] == ["plain", "aim *", "expanded *", "k *"]
    assert [line for line in lines[5:] if line.startswith("*")] == [
        "* re-ranked (transductive): the result of a query uses the gallery",
        "* re-ranked (transductive): the result of a query uses the gallery and the other queries",
    ]
    assert "*" not in format_table({"plain": report})


def test_reports_with_other_ranks_share_a_table(report):
    other = Report({"only": Scores(np.ones(1), 1.0, 1.0, 1, 0, 0.5, ranks=(1,))})
    line = format_table({"a": report, "b": other}).splitlines()[2]
    assert line.split() == ["b", "100.0", "-", "100.0", "100.0"]


def test_skipped_queries_are_printed_only_where_there_are_any(report):
    assert SKIPPED in str(report)
    none = Report({"only": Scores(np.ones(1), 1.0, 1.0, queries=4, skipped=0, chance=0.5, ranks=(1,))})
    assert "skipped" not in str(none)
    assert none.to_json()["skipped_queries"] == {"skipped": 0, "of": 4}
