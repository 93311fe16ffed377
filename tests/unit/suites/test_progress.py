"""Progress of runs from their logs: epochs, speed, time left; lines in a file and a status line on a terminal."""

from __future__ import annotations

import io
import json

import pytest

from vireid.suites.progress import CLEAR, ProgressReporter, RunProgress


@pytest.fixture
def log(tmp_path):
    """Append a record to log.jsonl."""
    path = tmp_path / "log.jsonl"

    def append(event: str, **values: object) -> None:
        with path.open("a") as file:
            file.write(json.dumps({"event": event, **values}) + "\n")

    append.path = path  # type: ignore[attr-defined]
    return append


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_from_the_start_to_the_evaluation(log):
    run = RunProgress("MMD, seed 0", log.path, 3, now=0.0)
    assert run.text(1.0) == "MMD, seed 0: starting"
    log("step", epoch=1, step=20, loss=1.0)
    run.update(10.0)
    assert run.text(10.0) == "MMD, seed 0: epoch 1/3, step 20"
    log("epoch", epoch=1, step=30, images_per_second=81.6)
    run.update(100.0)
    assert run.text(100.0) == "MMD, seed 0: epoch 2/3, 82 images/s, about 3 min left"
    log("step", epoch=2, step=40)
    log("evaluation", epoch=1, step=30, protocol="all")
    run.update(160.0)
    assert "about 2 min left" in run.text(160.0)
    log("epoch", epoch=2, step=60, images_per_second=80.0)
    log("epoch", epoch=3, step=90, images_per_second=80.0)
    run.update(200.0)
    assert run.text(200.0) == "MMD, seed 0: evaluating"


def test_epochs_of_an_interrupted_run_do_not_count_for_the_time_left(log):
    log("epoch", epoch=1, step=30, images_per_second=80.0)
    run = RunProgress("a", log.path, 9, now=0.0)
    run.update(5.0)
    assert run.text(5.0) == "a: epoch 2/9, 80 images/s"
    log("epoch", epoch=2, step=60, images_per_second=80.0)
    run.update(50.0)
    assert "left" not in run.text(50.0), "the start of the process is part of that time"
    log("epoch", epoch=3, step=90, images_per_second=80.0)
    run.update(60.0)
    assert run.text(60.0) == "a: epoch 4/9, 80 images/s, about 60 s left"


def test_a_line_that_is_being_written_and_a_log_that_was_rewound(log):
    run = RunProgress("a", log.path, 3, now=0.0)
    with log.path.open("a") as file:
        file.write('{"event": "step", "epoch": 1, ')
    run.update(1.0)
    assert run.text(1.0) == "a: starting"
    with log.path.open("a") as file:
        file.write('"step": 20}\nnot JSON\n[]\n{"event": "result", "checkpoint": "x"}\n')
    run.update(2.0)
    assert run.text(2.0) == "a: epoch 1/3, step 20"
    log.path.write_text("")
    log("step", epoch=1, step=10)
    run.update(3.0)
    assert run.text(3.0) == "a: epoch 1/3, step 10"


def test_without_a_terminal_a_line_every_thirty_seconds_for_each_run(log, tmp_path):
    now, lines = [0.0], []
    reporter = ProgressReporter(lines.append, terminal=io.StringIO(), clock=lambda: now[0])
    log("epoch", epoch=1, step=30, images_per_second=80.0)
    with reporter.run("1", "a", log.path, 3), reporter.run("2", "b", tmp_path / "missing.jsonl", 3):
        for now[0] in range(0, 70, 5):
            reporter.report()
    now[0] = 200.0
    reporter.report()
    assert lines == ["a: epoch 2/3, 80 images/s", "b: starting"] * 2


def test_on_a_terminal_one_status_line_that_is_cleared_before_a_line_that_stays(log, tmp_path):
    terminal, lines = Terminal(), []
    reporter = ProgressReporter(lines.append, terminal=terminal, clock=lambda: 0.0)
    with reporter.run("1", "a", log.path, 3), reporter.run("2", "b", tmp_path / "missing.jsonl", 3):
        reporter.report()
        reporter.say("[1/2] done")
    assert terminal.getvalue() == f"{CLEAR}a: starting | b: starting{CLEAR}"
    assert lines == ["[1/2] done"]


def test_the_thread_ends_with_its_block(log):
    lines = []
    with ProgressReporter(lines.append, terminal=io.StringIO(), interval=0.001).watching() as reporter:
        reporter.say("a line")
    assert lines == ["a line"]
