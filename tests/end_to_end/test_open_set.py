"""Thresholds from held-out identities: in the results of a run, in its bundle, in a search and on its report."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import vireid
from vireid.cli.main import run_command
from vireid.core.errors import DataError
from vireid.evaluation.open_set import DecisionRule, LogisticCalibration, OpenSetReport
from vireid.runs.thresholds import read_thresholds, write_thresholds

CONFIG = Path(__file__).parent / "tiny.yml"
USER_ERROR = 2  # exit code
OPEN_SET = "{FPIR: [0.3], RANKS: [1, 2], TRIALS: 3}"
ENTRY = ("HELDOUT_IDENTITIES", 6, "EVALUATION.INDOOR.NAME", "none", "EVALUATION.ALL.OPEN_SET", OPEN_SET)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tmp_path_factory.mktemp("open_set") / "run"


@pytest.fixture
def run(made, train):
    """A run that held out six of its identities, made by the first test that requests it."""
    if not made.exists():
        assert train(made, "SOLVER.EPOCHS", 1, *ENTRY) == 0
    return made


@pytest.fixture
def chosen(run):
    """The same run with thresholds, and with a calibration: its training is too short to fit one."""
    path = run / "thresholds.json"
    if not path.exists():
        assert run_command("threshold", [str(run), "--fpir", "0.5", "0.2", "--people", "test"]) == 0
        write_thresholds(path, replace(read_thresholds(path), calibration=LogisticCalibration(5.0, -2.0, 10, 90)))
    return run


def test_results_hold_the_rates_at_the_heldout_threshold(run):
    report = OpenSetReport.from_json(json.loads((run / "metrics.json").read_text())["results"]["all"]["open_set"])
    assert report.threshold == "heldout"
    assert report.rule.identities == 6
    assert report.trials == 3
    assert list(report.rates[0].fnir) == [1, 2]
    assert report.rates[0].fpir.interval[0] <= report.rates[0].fpir.mean <= report.rates[0].fpir.interval[1]


def test_evaluation_gives_the_same_rates(run, run_tool, capsys):
    before = (run / "metrics.json").read_bytes()
    assert run_tool("train_net", "--config-file", run / "config.yml", "--eval-only") == 0
    assert json.loads(before)["results"] == json.loads((run / "metrics.json").read_text())["results"]
    assert "6 held-out identities" in capsys.readouterr().out


@pytest.mark.parametrize("change", [("HELDOUT_IDENTITIES", 7), ("SEED", 1)])
def test_identities_that_were_trained_on_choose_no_threshold(run, run_tool, capsys, change):
    before = (run / "metrics.json").read_bytes()
    assert run_tool("train_net", "--config-file", run / "config.yml", "--eval-only", *change) == USER_ERROR
    error = capsys.readouterr().err
    assert f"{change[0]} was {6 if change[0] != 'SEED' else 0}, is {change[1]}" in error
    assert "trained on" in error
    assert (run / "metrics.json").read_bytes() == before


def test_a_changed_training_listing_chooses_no_threshold(run, people, tmp_path, capsys):
    """Other identities may be held out of it than of the training."""
    shutil.copytree(people, tmp_path / "people")
    trained = (people / "exp" / "train_id.txt").read_text().strip().split(",")
    removed = tmp_path / "people" / "cam1" / f"{int(trained[0]):04d}" / "0001.jpg"
    removed.unlink()
    assert run_command("threshold", [str(run), "--set", "DATA.ROOT", str(tmp_path / "people")]) == USER_ERROR
    error = capsys.readouterr().err
    assert "the training listing changed: identities that were trained on would choose the threshold" in error


def test_a_config_without_heldout_identities_is_refused_before_reading_data(run_tool, capsys):
    words = ("EVALUATION.ALL.OPEN_SET", OPEN_SET, "DATA.ROOT", "nowhere")
    assert run_tool("train_net", "--config-file", CONFIG, *words) == USER_ERROR
    error = capsys.readouterr().err
    assert "EVALUATION.ALL.OPEN_SET takes its threshold from held-out identities, and HELDOUT_IDENTITIES = 0" in error


def test_the_command_stores_the_rule(chosen, capsys):
    rule = DecisionRule.from_json(json.loads((chosen / "thresholds.json").read_text()))
    assert [point.wanted for point in rule.points] == [0.5, 0.2]
    embedder = vireid.load(chosen, device="cpu")
    assert rule.fingerprint == embedder.fingerprint
    assert embedder.decision == rule


def test_a_bundle_holds_the_rule(chosen, tmp_path):
    folder = vireid.save_bundle(chosen, tmp_path / "bundle", license="MIT")
    loaded = vireid.load(folder)
    assert loaded.decision == vireid.load(chosen, device="cpu").decision
    assert "## Thresholds" in (folder / "README.md").read_text()


def test_thresholds_of_other_weights_are_not_used(chosen, tmp_path):
    path = chosen / "thresholds.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "fingerprint": "of other weights"}))
    try:
        assert vireid.load(chosen, device="cpu").decision is None
        path.write_text("{")
        with pytest.raises(DataError, match=r"thresholds\.json: .*write it again with `vireid threshold"):
            vireid.load(chosen, device="cpu")
    finally:
        path.write_text(json.dumps(stored))


def test_a_search_states_matches_and_probabilities(chosen, people, run_tool, tmp_path, capsys):
    config = ("--config-file", chosen / "config.yml")
    gallery, query = tmp_path / "gallery", next((people / "cam3").iterdir())
    built = run_tool("gallery", "build", gallery, *config, "--images", people / "cam1", "--modality", "visible")
    assert built == 0
    out = tmp_path / "found.json"
    search = ("gallery", "search", gallery, *config, "--images", query, "--modality", "infrared")
    assert run_tool(*search, "--fpir", "0.5", "--out", out, "--out", tmp_path / "found.html") == 0
    answers = json.loads(out.read_text())
    rule = vireid.load(chosen, device="cpu").decision
    for one in answers["queries"]:
        for answer in one["answers"]:
            assert answer["match"] == (answer["score"] > rule.point(0.5).limit)
            assert answer["probability"] == pytest.approx(float(rule.probability(answer["score"])), abs=1e-4)
    assert "for FPIR 50 % in galleries of" in capsys.readouterr().err
    assert "above the threshold" in (tmp_path / "found.html").read_text()
    assert run_tool(*search, "--fpir", "0.3") == USER_ERROR
    assert "has no threshold; this model has those of 0.5" in capsys.readouterr().err


def test_the_report_shows_the_rates_and_plots(run, run_tool, tmp_path):
    assert run_tool("visualize", "--run", run) == 0
    page = (run / "report.html").read_text()
    assert "Verification and open-set identification" in page
    assert "FNIR rank-2" in page
    assert {"roc.png", "det.png"} <= {path.name for path in (run / "pictures").iterdir()}
    assert run_tool("visualize", "open-set", "--run", run, "--out", tmp_path) == 0
    assert {"roc.pdf", "det.html"} <= {path.name for path in tmp_path.iterdir()}


def test_errors_of_the_command(run, tmp_path, capsys):
    without_heldout = ["--set", "HELDOUT_IDENTITIES", "0", "--set", "EVALUATION.ALL.OPEN_SET.THRESHOLD", "oracle"]
    cases = {
        "enrolled must be in 1 .. 5": [str(run), "--enrolled", "6"],
        "299 are needed": [str(run), "--fpir", "0.01", "--sure"],
        "EVALUATION has no entry 'night'; it has ALL": [str(run), "--protocol", "night"],
        "HELDOUT_IDENTITIES was 6, is 8": [str(run), "--set", "HELDOUT_IDENTITIES", "8"],
        "HELDOUT_IDENTITIES = 0, so that the run has no": [str(run), *without_heldout],
        "does not exist; name a run folder": [str(tmp_path / "nowhere")],
    }
    stored = (run / "thresholds.json").read_bytes() if (run / "thresholds.json").exists() else None
    for words, arguments in cases.items():
        assert run_command("threshold", arguments) == USER_ERROR
        error = capsys.readouterr().err
        assert words in error, error
        assert "Traceback" not in error
    if stored is not None:
        assert (run / "thresholds.json").read_bytes() == stored
