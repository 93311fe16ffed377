"""Two processes on the CPU do what one does, and one that dies ends the run with its error."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vireid.config import Build, load_checked

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
LIMIT = 300  # seconds in which a command of a few has to end

PARTS = """
import os
import signal
import torch
from torch import nn
from vireid.core.errors import DataError
from vireid.core.registries import HEADS, LOSSES

DEATHS = {
    "user": lambda: (_ for _ in ()).throw(DataError("the dying rank says so")),
    "bug": lambda: (_ for _ in ()).throw(RuntimeError("the dying rank says so")),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}

@LOSSES.register
class Dying(nn.Module):
    '''Nothing, until the second step of the second process.'''

    def __init__(self, *, death: str) -> None:
        super().__init__()
        self.death, self.calls = death, 0

    def forward(self, features):
        self.calls += 1
        if self.calls == 3 and os.environ.get("RANK") == "1":  # the first call is the one before the run
            DEATHS[self.death]()
        return features.sum() * 0

@LOSSES.register
class Seen(nn.Module):
    '''Nothing; writes down which images this process is given.'''

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def forward(self, features, index):
        with open(f"{self.folder}/seen_{os.environ['RANK']}", "a") as file:
            file.write(" ".join(map(str, index.tolist())) + "\\n")
        return features.sum() * 0

@HEADS.register
class Idle(nn.Module):
    '''A head that no loss reads.'''

    provides, dims = frozenset({"features_att"}), {"features_att": 2}

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.layer = nn.Linear(channels, 2)

    def forward(self, pooled):
        return {"features_att": self.layer(pooled)}
"""


def run(command, **more_environment):
    return subprocess.run(
        command, env={**ONE_THREAD, **more_environment}, capture_output=True, text=True, timeout=LIMIT
    )


def results(folder):
    return json.loads((folder / "metrics.json").read_text())["results"]


def state(folder, epoch):
    at = folder / "checkpoints" / f"epoch_{epoch:04d}"
    optimizer = torch.load(at / "trainer.pt", weights_only=True)["optimizer"]["state"]
    momentum = {f"momentum {i}": value["momentum_buffer"] for i, value in optimizer.items()}
    return load_file(at / "model.safetensors") | load_file(at / "objective.safetensors") | momentum


def assert_equal_bits(ours, theirs):
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture
def finished(command, place):
    """A run of two processes, made once; `seen_0` and `seen_1` beside it tell which images each was given."""
    folder = place / "run"
    if not folder.exists():
        (place / "parts.py").write_text(PARTS)
        words = ["IMPORTS", "[parts]", "OBJECTIVE.SEEN.NAME", "Seen", "OBJECTIVE.SEEN.FOLDER", str(place)]
        path = f"{place}:{ONE_THREAD['PYTHONPATH']}"
        done = run([*command(folder, "--num-gpus", "2"), *words], PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
        (place / "said").write_text(done.stdout)
    return folder


@pytest.fixture
def parts(tmp_path):
    """Words of a command line, and the environment, in which the parts above can be named."""
    (tmp_path / "parts.py").write_text(PARTS)
    return ["IMPORTS", "[parts]"], {"PYTHONPATH": f"{tmp_path}:{ONE_THREAD['PYTHONPATH']}"}


def test_two_processes_share_the_batches_of_one_and_their_checkpoint_has_the_same_metrics_in_one(
    arguments, train, finished, tmp_path
):
    said = (finished.parent / "said").read_text()
    assert said.count("epoch 1/3") == 1
    assert said.count("results: ") == 1
    found = json.loads((finished / "metrics.json").read_text())
    assert found["environment"]["processes"] == 2
    assert len(list((finished / "tensorboard").iterdir())) == 1

    build = Build(load_checked(Path(__file__).parent / "tiny.yml", arguments(finished)))
    alone = build.sampler(build.dataset().train())
    expected = []
    for epoch in range(3):
        alone.set_epoch(epoch)
        expected += [sorted(batch) for batch in alone]
    ranks = [
        (finished.parent / f"seen_{rank}").read_text().splitlines()[1:] for rank in (0, 1)
    ]  # without the one before all
    shares = [[list(map(int, line.split())) for line in lines] for lines in ranks]
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == expected
    assert all(len(a) == len(b) for a, b in zip(*shares, strict=True))

    assert train(tmp_path, "--eval-only", "WEIGHTS", finished / "checkpoints" / "epoch_0003") == 0
    ours = {name: result["trials"] for name, result in results(tmp_path).items()}
    assert ours == {name: result["trials"] for name, result in found["results"].items()}


@pytest.mark.slow
@pytest.mark.parametrize("death", ["user", "bug", "kill"])
def test_a_process_that_dies_ends_the_run_with_its_error(command, parts, tmp_path, death):
    words, environment = parts
    line = [*command(tmp_path / "run", "--num-gpus", "2"), *words]
    done = run([*line, "OBJECTIVE.DYING.NAME", "Dying", "OBJECTIVE.DYING.DEATH", death], **environment)
    assert done.returncode == 2
    assert not (tmp_path / "run" / "metrics.json").exists()
    said = done.stderr.strip().splitlines()
    if death == "user":
        assert said == ["error: the dying rank says so"]
    elif death == "bug":
        assert done.stderr.count("Traceback") == 1
        assert said[-2:] == [
            "[rank1]: RuntimeError: the dying rank says so",
            "error: process 1 of 2 failed (exit code 1); its error stands above",
        ]
    else:
        assert "process 1 of 2 was ended by signal 9 (SIGKILL)" in done.stderr


@pytest.mark.slow
def test_two_processes_resume_bit_for_bit(command, finished, tmp_path):
    pieces = tmp_path / "pieces"
    for epochs in ("1", "3"):
        done = run([*command(pieces, "--num-gpus", "2", "--resume"), "SOLVER.EPOCHS", epochs])
        assert done.returncode == 0, done.stderr
    assert done.stdout.count("resumed after epoch 1 of 3") == 1
    assert_equal_bits(state(pieces, 3), state(finished, 3))
    assert results(pieces) == results(finished)
    (pieces / "metrics.json").unlink()
    assert run(command(pieces, "--num-gpus", "2", "--eval-only")).returncode == 0
    assert results(pieces) == results(finished)


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [
        ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
        ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"],
    ],
    ids=["torchrun", "accelerate"],
)
def test_other_launchers_give_the_same_bits(command, finished, tmp_path, launcher):
    done = run([sys.executable, "-m", *launcher, *command(tmp_path / "run")[1:]])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("results: ") == 1
    assert_equal_bits(state(tmp_path / "run", 3), state(finished, 3))


@pytest.mark.slow
def test_torchrun_shows_a_fault_of_the_config_once(command, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = run([*launcher, *command(tmp_path / "run")[1:], "SED", "1"])
    assert done.returncode != 0
    assert done.stderr.count("error: command line: SED is not a setting; did you mean 'SEED'?") == 1


def test_a_fault_of_the_config_is_told_before_any_process_starts(train, tmp_path, capfd):
    assert train(tmp_path / "run", "--num-gpus=2", "SED", 1) == 2
    assert capfd.readouterr().err == "error: command line: SED is not a setting; did you mean 'SEED'?\n"


@pytest.mark.slow
def test_faults_that_all_processes_find_are_told_once(command, parts, tmp_path):
    shared = run([*command(tmp_path / "b", "--num-gpus", "2"), "SAMPLER.IDENTITIES", "3"])
    assert shared.returncode == 2
    assert shared.stderr == (
        "error: sysu/mmd.yml: SAMPLER (IdentityModalitySampler): SAMPLER.IDENTITIES = 3 cannot be shared equally by"
        " 2 processes; set it to a multiple of 2\n"
    )
    words, environment = parts
    unread = run([*command(tmp_path / "c", "--num-gpus", "2"), *words, "MODEL.HEADS.IDLE.NAME", "Idle"], **environment)
    assert unread.returncode == 2
    assert unread.stderr == (
        "error: no loss trains these parameters: heads.idle.layer.weight, heads.idle.layer.bias;"
        " add a term to OBJECTIVE that reads them, or empty their slot\n"
    )


@pytest.mark.slow
def test_no_process_outlives_a_killed_launcher(command, tmp_path):
    """Otherwise it would go on writing into the run that is resumed."""
    process = subprocess.Popen(
        [*command(tmp_path / "run", "--num-gpus", "2"), "SOLVER.EPOCHS", "500"],
        env=ONE_THREAD,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + LIMIT
    try:
        while not (tmp_path / "run" / "checkpoints" / "epoch_0001").exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    while True:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < until, "a process goes on without its launcher"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_part_that_is_frozen_at_an_epoch_stays_in_two_processes(command, tmp_path):
    """The wrapper for processes waits for gradients that do not come any more, unless it is made anew."""
    folder = tmp_path / "run"
    words = ["SOLVER.FREEZE", "{backbone.shared: 1}", "KEEP_CHECKPOINTS", "3"]
    done = run([*command(folder, "--num-gpus", "2"), *words])
    assert done.returncode == 0, done.stderr
    first, last = state(folder, 1), state(folder, 3)
    shared = [name for name in first if name.startswith("backbone.shared.")]
    assert all(torch.equal(first[name], last[name]) for name in shared)
    assert not torch.equal(first["heads.id.classifier.weight"], last["heads.id.classifier.weight"])
