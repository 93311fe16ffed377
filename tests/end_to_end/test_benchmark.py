"""A suite trains each distinct config once, continues after a kill, and reports all faults before its first run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITE = """
TITLE: Tiny
CONFIG: {config}
OVERRIDES: {{SOLVER.EPOCHS: 2, TENSORBOARD: false}}
SEEDS: [0]
COLUMNS: [rank1, mAP]
COSTS: [parameters, width]
PROTOCOLS: [all]
ROWS:
  MMD: {{}}
  "no MMD": {{OBJECTIVE.MMD.NAME: none}}
  "the same": {{}}
COMPARE: MMD
FIGURES:
  LOSSES: {{KIND: curves, TERMS: [id]}}
  MAP: {{KIND: tsne, ROWS: [MMD], PEOPLE: 3}}
  LOOKS: {{KIND: attention, ROWS: [MMD, "no MMD"], PEOPLE: 2}}
  NUMBERS: {{KIND: sweep, KEY: OBJECTIVE.MMD.WEIGHT}}
"""


@pytest.fixture
def words(people, cache, tmp_path):
    """Arguments of tools/benchmark.py for the tiny suite, its outputs in a folder."""
    suite = tmp_path / "tiny.yml"
    suite.write_text(SUITE.format(config=Path(__file__).parent / "tiny.yml"))

    def make(out: Path, *more: str) -> list[str]:
        data = ["--data", f"DATA.ROOT={people}", "--data", f"CACHE_DIR={cache}"]
        return ["--suite", str(suite), "--out", str(out), *data, *more]

    return make


def test_a_dry_run_checks_all_rows_and_trains_nothing(words, run_tool, tmp_path, capsys):
    assert run_tool("benchmark", *words(tmp_path / "out", "--dry-run")) == 0
    text = capsys.readouterr().out
    assert text.count(": missing") == 3
    assert "2 different runs" in text  # two rows resolve to one config
    assert not (tmp_path / "out" / "runs").exists()


def test_jobs_for_a_cluster(words, run_tool, tmp_path, capsys):
    assert run_tool("benchmark", *words(tmp_path / "out", "--emit-jobs", "--seeds", "4", "5")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("python ") and "--resume" in line and "OUTPUT_DIR" in line for line in lines)
    assert sum("SEED 5" in line for line in lines) == 2


def test_all_faults_of_all_rows_are_reported_before_the_first_run(words, run_tool, tmp_path, capsys):
    arguments = words(tmp_path / "out")
    file = Path(arguments[1])
    text = file.read_text().replace("NAME: none", "NAM: none")
    file.write_text(text + "REPORTED: {}\n".replace("{}", "{MMD: a/b}").replace("MMD", "no MDD"))
    assert run_tool("benchmark", *arguments) == 2
    assert "REPORTED.no MDD is not a row; did you mean 'no MMD'?" in capsys.readouterr().err
    file.write_text(text.replace('"the same": {}', '"the same": {CONFIG: nowhere.yml}'))
    assert run_tool("benchmark", *arguments) == 2
    error = capsys.readouterr().err
    assert (
        "row 'no MMD': command line: OBJECTIVE.MMD.NAM is not an argument of MarginMMD; did you mean 'NAME'?" in error
    )
    assert "row 'the same': nowhere.yml does not exist" in error
    assert not (tmp_path / "out" / "runs").exists()


def test_figures_that_do_not_exist(words, run_tool, tmp_path, capsys):
    arguments = words(tmp_path / "out")
    file = Path(arguments[1])
    file.write_text(file.read_text().replace("KIND: tsne", "KIND: tsnee").replace("TERMS", "TERM"))
    assert run_tool("benchmark", *arguments) == 2
    error = capsys.readouterr().err
    assert "FIGURES.LOSSES.TERM is not a key of curves; did you mean 'TERMS'?" in error
    assert "FIGURES.MAP.KIND = 'tsnee' is not a kind of figure; did you mean 'tsne'?" in error


@pytest.mark.slow
def test_a_killed_suite_continues_and_gives_the_same_results(words, run_tool, train_in_process, tmp_path, capsys):
    """The suite that is killed is a process with child processes; the others train in this process."""
    command = [sys.executable, str(ROOT / "tools" / "benchmark.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def run(out: Path, *more: str) -> str:
        assert run_tool("benchmark", *words(out, *more)) == 0
        return capsys.readouterr().out

    run(tmp_path / "whole")
    process = subprocess.Popen([*command, *words(tmp_path / "pieces")], env=environment, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not list((tmp_path / "pieces").glob("runs/*/checkpoints/epoch_0001")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    output = run(tmp_path / "pieces")
    assert "| MMD |" in output
    assert "figure NUMBERS: no row sets OBJECTIVE.MMD.WEIGHT" in output
    assert {path.name for path in (tmp_path / "pieces" / "figures").iterdir()} == {"losses.png", "map.png", "looks.png"}
    results = [json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "pieces")]
    assert results[0] == results[1]
    again = run(tmp_path / "pieces")
    assert "2 runs, 2 of them done before" in again
    collected = run(tmp_path / "elsewhere", "--collect", str(tmp_path / "pieces" / "runs"))
    assert json.loads((tmp_path / "elsewhere" / "results.json").read_text()) == results[0]
    assert "tables: " in collected


@pytest.mark.slow
def test_a_row_that_fails_is_shown_and_the_others_are_trained(words, run_tool, train_in_process, tmp_path, capsys):
    arguments = words(tmp_path / "out")
    file = Path(arguments[1])
    text = file.read_text().replace('"the same": {}', '"too many": {SAMPLER.IDENTITIES: 400}')
    file.write_text(text.replace("SOLVER.EPOCHS: 2", "SOLVER.EPOCHS: 1").split("FIGURES:")[0])
    assert run_tool("benchmark", *arguments) == 1
    text = capsys.readouterr().out
    assert "| too many | failed | failed |" in text
    assert "- too many, seed 0: " in text
    assert "set it to 19 or less" in text
    assert json.loads((tmp_path / "out" / "results.json").read_text())["rows"][0]["metrics"]["rank1"]["values"]
