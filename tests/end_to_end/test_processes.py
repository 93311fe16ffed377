"""Two processes on the CPU give the results of one, resume bitwise and do not depend on the launcher."""

import json
import sys
from pathlib import Path

import pytest
import torch

from vireid.config import Build, load_checked

EPOCHS = 3  # of tiny.yml


def results(run):
    return json.loads((run / "metrics.json").read_text())["results"]


def assert_equal_bits(ours, theirs):
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture
def finished(command, call, shared_folder):
    """A run of two processes; beside it `output`, and `rank_0` and `rank_1` with the indices of their batches."""
    run = shared_folder / "run"
    if not run.exists():
        words = ["IMPORTS", "[process_parts]", "OBJECTIVE.RECORDER.NAME", "IndexRecorder"]
        done = call([*command(run, "--num-gpus", "2"), *words, "OBJECTIVE.RECORDER.FOLDER", str(shared_folder)])
        assert done.returncode == 0, done.stderr
        (shared_folder / "output").write_text(done.stdout)
    return run


def test_two_processes_share_the_batches_of_one(arguments, finished):
    build = Build(load_checked(Path(__file__).parent / "tiny.yml", arguments(finished)))
    sampler = build.sampler(build.dataset().train())
    expected = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        expected += [sorted(batch) for batch in sampler]
    first, second = (
        [list(map(int, line.split())) for line in (finished.parent / f"rank_{rank}").read_text().splitlines()[1:]]
        for rank in (0, 1)  # without the first line, of the step before the training
    )
    assert [sorted(a + b) for a, b in zip(first, second, strict=True)] == expected
    assert all(len(a) == len(b) for a, b in zip(first, second, strict=True))


def test_only_the_main_process_prints_and_writes(finished):
    output = (finished.parent / "output").read_text()
    assert output.count("epoch 1/3") == 1
    assert output.count("results: ") == 1
    assert json.loads((finished / "metrics.json").read_text())["environment"]["processes"] == 2
    assert len(list((finished / "tensorboard").iterdir())) == 1


def test_one_process_evaluates_the_checkpoint_of_two_to_the_same_metrics(train, finished, tmp_path):
    assert train(tmp_path, "--eval-only", "WEIGHTS", finished / "checkpoints" / f"epoch_{EPOCHS:04d}") == 0
    ours = {name: result["trials"] for name, result in results(tmp_path).items()}
    assert ours == {name: result["trials"] for name, result in results(finished).items()}


@pytest.mark.slow
def test_two_processes_resume_bitwise(command, call, state, finished, tmp_path):
    pieces = tmp_path / "pieces"
    for epochs in ("1", "3"):
        done = call([*command(pieces, "--num-gpus", "2", "--resume"), "SOLVER.EPOCHS", epochs])
        assert done.returncode == 0, done.stderr
    assert done.stdout.count("resumed after epoch 1 of 3") == 1
    assert_equal_bits(state(pieces, EPOCHS), state(finished, EPOCHS))
    assert results(pieces) == results(finished)


@pytest.mark.slow
def test_accelerate_launch_trains_to_the_same_bits(command, call, state, finished, tmp_path):
    """It starts the processes by `torch.distributed.run`, as torchrun does."""
    launcher = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
    done = call([sys.executable, "-m", *launcher, *command(tmp_path / "run")[1:]])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("results: ") == 1
    assert_equal_bits(state(tmp_path / "run", EPOCHS), state(finished, EPOCHS))


@pytest.mark.slow
def test_two_processes_of_torchrun_evaluate_a_checkpoint_to_the_same_results(command, call, finished, tmp_path):
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    weights = str(finished / "checkpoints" / f"epoch_{EPOCHS:04d}")
    done = call([sys.executable, "-m", *launcher, *command(tmp_path / "run", "--eval-only")[1:], "WEIGHTS", weights])
    assert done.returncode == 0, done.stderr
    trials = {name: result["trials"] for name, result in results(finished).items()}
    assert {name: result["trials"] for name, result in results(tmp_path / "run").items()} == trials


@pytest.mark.slow
def test_a_module_that_is_frozen_at_an_epoch_keeps_its_weights_in_two_processes(command, call, state, tmp_path):
    """DistributedDataParallel waits for gradients of frozen parameters, unless the network is wrapped again."""
    run = tmp_path / "run"
    words = ["SOLVER.FREEZE", "{backbone.shared: 1}", "KEEP_CHECKPOINTS", "3"]
    done = call([*command(run, "--num-gpus", "2"), *words])
    assert done.returncode == 0, done.stderr
    first, last = state(run, 1), state(run, EPOCHS)
    shared = [name for name in first if name.startswith("backbone.shared.")]
    assert shared
    assert all(torch.equal(first[name], last[name]) for name in shared)
    assert not torch.equal(first["heads.id.classifier.weight"], last["heads.id.classifier.weight"])
