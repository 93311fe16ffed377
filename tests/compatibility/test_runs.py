"""Run folders of every format that was ever written are read, and give the same numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vireid.core.errors import DataError
from vireid.engine.weights_origin import stored_inputs
from vireid.evaluation import Report
from vireid.runs import RunFolder, read_run
from vireid.runs.aggregate import read_splits
from vireid.runs.listing_record import ListingRecord
from vireid.runs.metrics import Metrics
from vireid.runs.results import read_embeddings, read_queries, read_rankings
from vireid.runs.schema import KEY, SCHEMA
from vireid.suites.bootstrap import differences
from vireid.visualize.page import write_report

RUNS = Path(__file__).parent / "runs"
FORMATS = sorted(path.name for path in RUNS.iterdir())
CURRENT = RUNS / f"schema_{SCHEMA}"
TERMS = ["id", "triplet", "mmd", "loss"]


@pytest.fixture(params=FORMATS)
def run(request) -> Path:
    return RUNS / request.param


def test_the_current_format_has_a_fixture():
    """If this fails, SCHEMA was increased: add a folder as README.md describes."""
    assert CURRENT.name in FORMATS
    assert json.loads(RunFolder(CURRENT).metrics.read_text())[KEY] == SCHEMA


def test_all_formats_give_the_same_numbers(run):
    found, expected = read_run(run), read_run(CURRENT)
    assert found.notes == []
    assert found.results
    for result, other in zip(found.results, expected.results, strict=True):
        assert (result.name, result.mean, result.spread) == (other.name, other.mean, other.spread)
        assert (list(result.cmc), result.trials, result.chance) == (list(other.cmc), other.trials, other.chance)
        assert result.conditions == other.conditions
    assert list(found.epochs.terms) == TERMS
    assert found.epochs.terms == expected.epochs.terms
    assert found.evaluations == expected.evaluations
    assert found.environment["device"] == "CPU"
    assert found.config.startswith("SEED: 0\n")


def test_the_log_and_the_results_of_a_run_agree(run):
    found = read_run(run)
    last = {measured.protocol: measured.values for measured in found.evaluations if measured.epoch == 2}
    for result in found.results:
        assert last[result.name] == {name: result.mean[name] for name in ("rank1", "mAP", "mINP")}


def test_ranked_lists_and_query_scores(run):
    files, expected = RunFolder(run), RunFolder(CURRENT)
    for lists, other in zip(read_rankings(files.rankings), read_rankings(expected.rankings), strict=True):
        assert lists.name == other.name
        for name in ("query_id", "gallery_path", "order", "score"):
            np.testing.assert_array_equal(getattr(lists, name), getattr(other, name))
    queries, others = read_queries(files.queries).tables, read_queries(expected.queries).tables
    assert list(queries) == list(others) == ["all", "indoor"]
    reports = Metrics.read(files.metrics).reports
    for name, table in queries.items():
        precision = [row[counted].mean() for row, counted in zip(table.average_precision, table.counted, strict=True)]
        assert precision == pytest.approx(reports[name].values["mAP"], abs=1e-6)
        np.testing.assert_array_equal(table.first, others[name].first)


def test_two_formats_can_be_compared_query_by_query(run):
    for difference in differences([RunFolder(run).queries], [RunFolder(CURRENT).queries], "all"):
        assert (difference.value, difference.low, difference.high) == (0, 0, 0)


@pytest.mark.parametrize("name", [name for name in FORMATS if (RUNS / name / "features.npz").exists()])
def test_embeddings(name):
    table = read_embeddings(RUNS / name)
    assert table.features.shape == (54, 512)
    assert len(table.paths) == 54
    np.testing.assert_array_equal(table.features, read_embeddings(CURRENT).features)


def test_inputs_and_listing_where_the_format_has_them(run):
    files = RunFolder(run)
    inputs = Metrics.read(files.metrics).inputs
    stored = stored_inputs(files.checkpoints / "epoch_0002")
    assert (inputs is None) == (stored is None) == (not files.listing.exists())
    if inputs is not None:
        listing = ListingRecord.read(files.listing)
        assert listing is not None
        assert listing.digest == inputs["trained_on"]["training"]["digest"] == stored["training"]["digest"]
        assert read_queries(files.queries).listing == inputs["test_images"]


def test_reports_keep_everything_that_a_file_states(run):
    for stored in json.loads(RunFolder(run).metrics.read_text())["results"].values():
        again = json.loads(json.dumps(Report.from_json(stored).to_json()))
        assert {key: again[key] for key in stored} == stored


def test_reports_round_trip_in_the_current_format():
    for report in Metrics.read(RunFolder(CURRENT).metrics).reports.values():
        assert report.averages is None
        again = Report.from_json(report.to_json())
        assert again.to_json() == report.to_json()
        frame = again.to_frame()
        assert frame["mAP"].mean() == pytest.approx(report.means["mAP"])
        assert frame["queries"].sum() + frame["skipped"].sum() == 200


def test_a_report_page_is_written(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    page = write_report(copy, queries=1).read_text(encoding="utf-8")
    assert "25.0" in page
    assert "SYSU-MM01 all" in page


def test_runs_without_a_split_are_not_aggregated(run):
    with pytest.raises(ValueError, match="does not state its split"):
        read_splits([run])


@pytest.mark.parametrize("name", ["metrics.json", "rankings.npz", "queries.npz", "features.npz"])
def test_a_newer_schema_is_refused(name, tmp_path):
    copy = shutil.copytree(CURRENT, tmp_path / "run")
    path = copy / name
    if path.suffix == ".json":
        path.write_text(json.dumps({**json.loads(path.read_text()), KEY: SCHEMA + 1}))
    else:
        with np.load(path) as file:
            arrays = dict(file)
        assert arrays[KEY] == SCHEMA
        np.savez(path, **{**arrays, KEY: np.array(SCHEMA + 1)})
    readers = {
        "metrics.json": lambda: Metrics.read(path),
        "rankings.npz": lambda: read_rankings(path),
        "queries.npz": lambda: read_queries(path),
        "features.npz": lambda: read_embeddings(copy),
    }
    with pytest.raises(DataError) as caught:
        readers[name]()
    assert caught.value.text == (
        f"{path}: written with schema {SCHEMA + 1} by a newer version of vireid, this version reads schemas up to"
        f" {SCHEMA}; upgrade vireid"
    )


@pytest.mark.parametrize("version", [0, True, "2", 1.5])
def test_a_schema_that_is_no_version_is_refused(version, tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({KEY: version, "results": {}}))
    with pytest.raises(DataError, match="schema must be an integer of at least 1"):
        Metrics.read(path)
