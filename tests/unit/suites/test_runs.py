"""The runs of a suite report where they are while they train; finished runs are kept."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vireid.core.errors import UserError
from vireid.suites.runs import Outcome, perform_all


class Store:
    """Run folders whose training writes two epochs to the log and takes a moment."""

    def __init__(self, root: Path, *, failing: str = "") -> None:
        self.root, self.failing = root, failing

    def folder(self, run: Any) -> Path:
        return self.root / run.address

    def outcome(self, run: Any) -> Outcome | None:
        return Outcome(run.address, True) if (self.folder(run) / "metrics.json").is_file() else None

    def changes(self, run: Any) -> list[str]:
        return []

    def perform(self, run: Any) -> Outcome:
        folder = self.folder(run)
        folder.mkdir(parents=True)
        record = {"event": "epoch", "epoch": 1, "step": 5, "images_per_second": 80.0}
        (folder / "log.jsonl").write_text(json.dumps(record) + "\n")
        time.sleep(0.2)
        if run.address == self.failing:
            return Outcome(run.address, False, "out of memory (exit code 1)")
        (folder / "metrics.json").write_text("{}")
        return Outcome(run.address, True)


@pytest.fixture
def runs():
    return {address: SimpleNamespace(address=address, epochs=2) for address in ("a1", "b2")}


@pytest.mark.parametrize("jobs", [1, 2])
def test_start_progress_and_end_of_each_run(runs, tmp_path, monkeypatch, jobs):
    monkeypatch.setattr("vireid.suites.progress.SECONDS_BETWEEN_LINES", 0.1)
    lines, labels = [], {"a1": "MMD, seed 0", "b2": "AGW, seed 0"}
    store: Any = Store(tmp_path, failing="b2")
    outcomes = perform_all(store, runs, labels=labels, jobs=jobs, say=lines.append, interval=0.01)
    assert [outcome.done for outcome in outcomes.values()] == [True, False]
    assert lines[0] == "2 runs, 0 of them done before"
    assert f"MMD, seed 0: started (log: {tmp_path / 'a1' / 'output.txt'})" in lines
    assert any(line.startswith("MMD, seed 0: epoch 2/2, 80 images/s") for line in lines)
    ends = sorted(line.partition("] ")[2] for line in lines if line.startswith("["))
    assert ends == ["AGW, seed 0 (b2): FAILED: out of memory (exit code 1)", "MMD, seed 0 (a1): done in 0 s"]
    assert [line[:5] for line in lines if line.startswith("[")] == ["[1/2]", "[2/2]"]


def test_finished_runs_are_kept(runs, tmp_path):
    store: Any = Store(tmp_path)
    perform_all(store, runs, say=lambda text: None)
    lines = []
    assert all(outcome.done for outcome in perform_all(store, runs, say=lines.append).values())
    assert lines == ["2 runs, 2 of them done before"]


def test_jobs_must_be_positive(runs, tmp_path):
    store: Any = Store(tmp_path)
    with pytest.raises(UserError, match="--jobs must be at least 1, got 0"):
        perform_all(store, runs, jobs=0)
