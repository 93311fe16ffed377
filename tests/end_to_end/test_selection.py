"""The EMA of the weights, and a checkpoint chosen on people who are not trained on: one run with both."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing import event_accumulator

from vireid.config import Build, check_config, load_config
from vireid.data.heldout import hold_out
from vireid.data.images.image_set import TrainingBatches

CONFIG = Path(__file__).parent / "tiny.yml"
OPTIONS = ("EMA", 0.9, "SELECT", "heldout", "HELDOUT_IDENTITIES", 5, "EVALUATE_EVERY", 1, "KEEP_CHECKPOINTS", 1)


def log(run, event):
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [record for record in records if record["event"] == event]


def results(run):
    return json.loads((run / "metrics.json").read_text())["results"]


def checkpoint(run, epoch=3):
    """Every tensor of a checkpoint, and the epoch that it calls the best."""
    folder = run / "checkpoints" / f"epoch_{epoch:04d}"
    tensors = {f"{path.stem}/{k}": v for path in folder.glob("*.safetensors") for k, v in load_file(path).items()}
    state = torch.load(folder / "trainer.pt", weights_only=True)
    momentum = {f"momentum {i}": value["momentum_buffer"] for i, value in state["optimizer"]["state"].items()}
    return {**tensors, **momentum}, state["best"]


def assert_same(run, other):
    (ours, best), (theirs, their_best) = checkpoint(run), checkpoint(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert best == their_best
    assert results(run) == results(other)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tmp_path_factory.mktemp("selection") / "run"


@pytest.fixture
def whole(made, train):
    """A run that nothing interrupted, made by the first test that asks for it."""
    if not made.exists():
        assert train(made, *OPTIONS) == 0
    return made


def test_people_held_out_are_in_no_batch_and_not_in_the_classifier(train, arguments, made, monkeypatch):
    seen, epoch = set(), TrainingBatches.epoch

    def recorded(self, number):
        for batch in epoch(self, number):
            seen.update(self.loader.samples[row].path for row in batch.index.tolist())
            yield batch

    monkeypatch.setattr(TrainingBatches, "epoch", recorded)
    assert train(made, *OPTIONS) == 0
    samples = Build(check_config(load_config(CONFIG, arguments(made)))).dataset().train()
    identity = {sample.path: sample.identity for sample in samples}
    held = {samples[row].identity for row in hold_out(samples, identities=5, seed=0)[1]}
    trained = {identity[path] for path in seen}
    assert len(held) == 5
    assert trained
    assert not trained & held
    people = len(set(identity.values()))
    assert len(checkpoint(made)[0]["model/heads.id.classifier.weight"]) == people - 5


def test_the_best_epoch_counts_and_results_say_how_it_was_chosen(train, whole):
    scores = [record["mAP"] for record in log(whole, "evaluation") if record["protocol"] == "heldout"]
    assert len(scores) == 3
    best = scores.index(max(scores)) + 1
    assert checkpoint(whole)[1] == {"epoch": best, "score": max(scores)}
    found = results(whole)
    assert found["all"]["conditions"]["checkpoint"] == (
        f"best mAP on 5 training identities held out of training (epoch {best}), EMA of the weights (decay 0.9)"
    )
    assert sorted(path.name for path in (whole / "checkpoints").iterdir()) == sorted(
        {f"epoch_{best:04d}", "epoch_0003"}
    )
    assert train(whole, "--eval-only", *OPTIONS) == 0
    assert results(whole) == found


def test_the_average_is_what_is_evaluated_and_the_weights_go_on(train, whole, tmp_path):
    best = checkpoint(whole)[1]["epoch"]
    for file, same in (("model", True), ("training", False)):
        weights = whole / "checkpoints" / f"epoch_{best:04d}" / f"{file}.safetensors"
        assert train(tmp_path, "--eval-only", *OPTIONS, "WEIGHTS", weights) == 0
        assert (results(tmp_path)["all"]["mean"] == results(whole)["all"]["mean"]) == same


def test_a_run_in_pieces_has_the_same_bits_and_chooses_the_same_epoch(train, whole, tmp_path):
    for epochs in (1, 3):
        assert train(tmp_path / "pieces", "--resume", *OPTIONS, "SOLVER.EPOCHS", epochs) == 0
    assert_same(tmp_path / "pieces", whole)


def test_the_log_is_drawn_as_curves(whole):
    shown = event_accumulator.EventAccumulator(str(whole / "tensorboard"))
    shown.Reload()
    for event, tag, name in (("epoch", "epoch/loss", "loss"), ("evaluation", "evaluation/heldout/mAP", "mAP")):
        points = {record["step"]: record[name] for record in log(whole, event)}
        assert len(points) == 3
        assert {point.step: point.value for point in shown.Scalars(tag)} == pytest.approx(points)


def test_choices_that_cannot_be_made_are_told_before_training(train, tmp_path, capsys):
    words = "SELECT", "heldout", "HELDOUT_IDENTITIES"
    assert train(tmp_path, *words, 24, "EVALUATE_EVERY", 1) == 2
    assert "HELDOUT_IDENTITIES = 24, but the training set has only" in capsys.readouterr().err
    assert train(tmp_path, *words, 5, "EVALUATE_EVERY", 4) == 2
    assert capsys.readouterr().err == (
        "error: SELECT = 'heldout' chooses among evaluations, and EVALUATE_EVERY = 4 makes none in 3 epochs;"
        " set it to 3 or less\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_kill_changes_neither_the_average_nor_the_choice(command, train, whole, tmp_path):
    run = tmp_path / "run"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command(run), *map(str, OPTIONS)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 120
    while not (run / "checkpoints" / "epoch_0001").exists():
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert train(run, "--resume", *OPTIONS) == 0
    assert_same(run, whole)


@pytest.mark.slow
def test_a_full_disk_ends_a_run_with_one_error_and_it_can_be_resumed(train, whole, tmp_path, capsys):
    resource = pytest.importorskip("resource")
    run, limits = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)
    assert train(run, "--resume", *OPTIONS, "SOLVER.EPOCHS", 1) == 0
    first = {path.name: path.read_bytes() for path in (run / "checkpoints" / "epoch_0001").iterdir()}
    capsys.readouterr()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))  # the log fits, the weights do not
    try:
        assert train(run, "--resume", *OPTIONS) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"error: {run / 'checkpoints' / 'epoch_0002'}: cannot be written (")
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["epoch_0001"]
    assert {path.name: path.read_bytes() for path in (run / "checkpoints" / "epoch_0001").iterdir()} == first
    assert train(run, "--resume", *OPTIONS) == 0
    assert_same(run, whole)
