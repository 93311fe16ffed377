from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from vireid.core.errors import UserError
from vireid.evaluation import Report
from vireid.retrieval.metrics import Scores
from vireid.runs.aggregate import aggregate, format_aggregates, read_splits

TOOL = Path(__file__).parents[3] / "tools" / "aggregate_trials.py"


def result(trial, rank1=0.5, **conditions):
    stated = {
        "protocol": "RegDB",
        "trials": 1,
        "re_ranking": "none",
        "data": "RegDB",
        "split": str(trial),
        **conditions,
    }
    scores = Scores(np.array([rank1]), rank1 / 2, rank1 / 4, queries=4, skipped=0, chance=0.1, ranks=(1,))
    return Report({"only": scores}, stated).to_json()


@pytest.fixture
def write(tmp_path):
    """A run folder with results by protocol."""

    def make(name: str, **results) -> Path:
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps({"results": results}))
        return tmp_path / name

    return make


@pytest.fixture
def ten(write):
    return [write(f"t{t}", v2i=result(t, t / 10), i2v=result(t, 0.25, seed=str(t % 2))) for t in range(10, 0, -1)]


def test_mean_and_sample_standard_deviation_over_the_splits(ten):
    rows = aggregate(read_splits(ten))
    assert rows["v2i"].splits == tuple(range(1, 11))
    assert rows["v2i"].missing == ()
    assert rows["v2i"].values["rank1"] == [t / 10 for t in range(1, 11)]
    assert rows["v2i"].mean == pytest.approx({"rank1": 0.55, "mAP": 0.275, "mINP": 0.1375})
    assert rows["v2i"].spread["rank1"] == pytest.approx((sum((t / 10 - 0.55) ** 2 for t in range(1, 11)) / 9) ** 0.5)
    assert rows["i2v"].conditions["seed"] == "differs (1, 0)"
    assert rows["i2v"].conditions["split"] == "10 of 10, a model for each"


def test_the_table_names_missing_splits(ten):
    text = format_aggregates(aggregate(read_splits([ten[0], ten[3] / "metrics.json"])))
    assert text == (
        "     rank-1       mAP          mINP\n"
        "v2i  85.0 ± 21.2  42.5 ± 10.6  21.2 ± 5.3\n"
        "i2v  25.0 ± 0.0   12.5 ± 0.0   6.2 ± 0.0\n"
        "percent; mean ± sample standard deviation over 2 splits, a model for each\n"
        "NOT THE PUBLISHED FORM: no result of split 1, 2, 3, 4, 5, 6, 8, 9\n"
        "v2i: feature not stated, re-ranking none, attribute source none, checkpoint not stated, protocol RegDB,"
        " trials 1, data RegDB, split 2 of 10, a model for each\n"
        "i2v: feature not stated, re-ranking none, attribute source none, checkpoint not stated, protocol RegDB,"
        " trials 1, data RegDB, split 2 of 10, a model for each, seed differs (1, 0)"
    )
    assert "NOT THE PUBLISHED FORM" not in format_aggregates(aggregate(read_splits(ten)))


def test_results_of_older_versions_name_the_split_trial(write):
    older = result(2)
    older["conditions"]["trial"] = older["conditions"].pop("split")
    rows = aggregate(read_splits([write("new", v2i=result(1)), write("old", v2i=older)]))
    assert rows["v2i"].splits == (1, 2)
    assert rows["v2i"].conditions["split"] == "2 of 10, a model for each"
    assert "trial" not in rows["v2i"].conditions


def test_one_split_has_no_spread(ten):
    rows = aggregate(read_splits(ten[:1]))
    assert rows["v2i"].spread == {"rank1": None, "mAP": None, "mINP": None}
    assert "v2i  100.0   50.0  25.0\n" in format_aggregates(rows)


def test_what_cannot_be_read_is_named_all_at_once(write, tmp_path):
    places = [
        write("a", v2i=result(3)),
        write("b", v2i=result(3)),
        tmp_path / "c",
        write("d", v2i={"mean": {}}),
        write("e", all=result("none")),
        write("f"),
    ]
    (tmp_path / "g.json").write_text("{")
    with pytest.raises(UserError) as caught:
        read_splits([*places, tmp_path / "g.json"])
    lines = str(caught.value).replace(f"{tmp_path}/", "").splitlines()
    lines = [line for line in lines if "Make it with" not in line]
    assert lines[0] == "split 3 is in a/metrics.json and in b/metrics.json"
    assert lines[1] == "c does not exist: train or evaluate that split first"
    assert lines[2].startswith("d/metrics.json: not the results of a run (conditions is missing)")
    assert lines[3].startswith("e/metrics.json does not state its split")
    assert lines[4].startswith("f/metrics.json does not state its split")
    assert lines[5].startswith("g.json: not the results of a run (Expecting property name")
    assert len(lines) == 6


def test_results_under_other_conditions_do_not_mix(write):
    one = write("a", v2i=result(1))
    two = write("b", v2i=result(2, re_ranking="k-reciprocal"))
    three = write("c", i2v=result(3))
    eleven = write("d", v2i=result(11))
    with pytest.raises(UserError) as caught:
        aggregate(read_splits([one, two, three, eleven]))
    text = str(caught.value).replace(f"{one.parent}/", "")
    assert text.splitlines() == [
        "results that do not belong together:",
        "  - d/metrics.json is of split 11, expected 1 to 10",
        "  - v2i: re_ranking is 'k-reciprocal' in b/metrics.json, but 'none' in a/metrics.json",
        "  - c/metrics.json has the protocols i2v, but a/metrics.json has v2i",
    ]
    with pytest.raises(UserError, match="no results to aggregate"):
        aggregate([])


def test_the_tool_prints_the_row_and_writes_it(ten, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("vireid_tool_aggregate_trials", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    out = tmp_path / "row.json"
    assert module.main([*map(str, ten), "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("v2i  55.0 ± 30.3")
    stored = json.loads(out.read_text())["results"]["v2i"]
    assert stored["mean"]["rank1"] == pytest.approx(0.55)
    assert stored["missing_splits"] == []
    assert stored["values"]["mAP"][0] == 0.05
    assert module.main([str(tmp_path / "nothing")]) == 2
    assert "does not exist" in capsys.readouterr().err
