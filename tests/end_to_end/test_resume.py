"""A run that is killed and resumed ends in the same bits as one that was not."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
import torch
from safetensors.torch import load_file

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}  # as the tests of this process


def weights(run, epoch=3):
    folder = run / "checkpoints" / f"epoch_{epoch:04d}"
    state = torch.load(folder / "trainer.pt", weights_only=True)
    momentum = {f"momentum {i}": value["momentum_buffer"] for i, value in state["optimizer"]["state"].items()}
    return load_file(folder / "model.safetensors") | load_file(folder / "objective.safetensors") | momentum


def logged(run):
    """What the log says about epochs, times left out."""
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(r["event"], r["epoch"], r["step"], r["loss"]) for r in records if r["event"] in ("step", "epoch")]


def assert_equal_bits(run, other):
    ours, theirs = weights(run), weights(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def lines(run):
    log = run / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def kill_after(command, run, number, seconds):
    """Start, kill -9 that many seconds after its log has that many lines; True if it was still running."""
    process = subprocess.Popen(command, env=ONE_THREAD, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while lines(run) < number and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whole") / "run"


@pytest.fixture
def whole(folder, train):
    """A run that nothing interrupted, made by the first test that asks for it."""
    if not folder.exists():
        assert train(folder) == 0
    return folder


@pytest.mark.quick
def test_a_run_in_pieces_equals_a_whole_one(train, whole, tmp_path):
    pieces = tmp_path / "pieces"
    pieces.mkdir()
    (pieces / "log.jsonl").write_text(
        '{"event": "step", "epoch": 1, "step": 2, "loss": 9.0}\n{"event": "st'
    )  # a kill's
    for epochs in (1, 2, 3):
        assert train(pieces, "--resume", "SOLVER.EPOCHS", epochs) == 0
    assert_equal_bits(whole, pieces)
    assert logged(pieces) == logged(whole)


def test_a_damaged_newest_checkpoint_falls_back_and_ends_the_same(train, whole, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "checkpoints" / "epoch_0003" / "model.safetensors").write_bytes(b"torn")
    assert train(run, "--resume") == 0
    assert "damaged checkpoint (model.safetensors changed since it was written); using the one before" in caplog.text
    assert_equal_bits(whole, run)


def test_a_kill_in_an_epoch_costs_that_epoch_and_nothing_else(command, train, whole, tmp_path, capsys):
    run = tmp_path / "run"
    process = subprocess.Popen(command(run), env=ONE_THREAD, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not (run / "checkpoints" / "epoch_0001").exists():
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "checkpoints" / "epoch_0003").exists()
    assert train(run, "--resume") == 0
    assert "resumed after epoch" in capsys.readouterr().out
    assert_equal_bits(whole, run)


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(command, whole, tmp_path):
    """Kills of one run, wherever they fall: while importing, in a step, while a checkpoint is written.

    `tests/end_to_end/test_kill_and_resume.py` kills in named stages.
    """
    run, draw = tmp_path / "run", random.Random(0)
    killed = [kill_after(command(run, "--resume"), run, 0, draw.uniform(0.5, 3))]
    for _ in range(2):
        killed.append(kill_after(command(run, "--resume"), run, lines(run) + draw.randint(1, 2), draw.uniform(0, 0.2)))
    assert killed[:2] == [True, True]
    subprocess.run(command(run, "--resume"), env=ONE_THREAD, check=True, capture_output=True)
    assert_equal_bits(whole, run)
