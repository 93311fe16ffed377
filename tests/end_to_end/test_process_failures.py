"""A run of two processes that fails reports its error once, and no process outlives its launcher."""

import os
import signal
import subprocess
import sys
import time

import pytest

IMPORTS = ["IMPORTS", "[process_parts]"]
LIMIT = 300  # seconds in which a process must react


@pytest.mark.slow
@pytest.mark.parametrize("failure", ["user", "bug", "kill"])
def test_a_process_that_fails_ends_the_run_with_its_error(command, call, tmp_path, failure):
    words = [*IMPORTS, "OBJECTIVE.FAILING.NAME", "FailingLoss", "OBJECTIVE.FAILING.FAILURE", failure]
    done = call([*command(tmp_path / "run", "--num-gpus", "2"), *words])
    assert done.returncode == 2
    assert not (tmp_path / "run" / "metrics.json").exists()
    lines = done.stderr.strip().splitlines()
    if failure == "user":
        assert lines == ["error: rank 1 fails"]
    elif failure == "bug":
        assert done.stderr.count("Traceback") == 1
        assert lines[-2:] == [
            "[rank1]: RuntimeError: rank 1 fails",
            "error: process 1 of 2 failed (exit code 1); its error is above",
        ]
    else:
        assert "process 1 of 2 was ended by signal 9 (SIGKILL)" in done.stderr


@pytest.mark.slow
def test_torchrun_shows_a_fault_of_the_config_once(command, call, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = call([*launcher, *command(tmp_path / "run")[1:], "SED", "1"])
    assert done.returncode != 0
    assert done.stderr.count("error: command line: SED is not a setting; did you mean 'SEED'?") == 1


def test_a_fault_of_the_config_is_reported_before_any_process_starts(train, tmp_path, capfd):
    assert train(tmp_path / "run", "--num-gpus=2", "SED", 1) == 2
    assert capfd.readouterr().err == "error: command line: SED is not a setting; did you mean 'SEED'?\n"


@pytest.mark.slow
def test_a_batch_that_cannot_be_divided_is_reported_once(command, call, tmp_path):
    done = call([*command(tmp_path / "run", "--num-gpus", "2"), "SAMPLER.IDENTITIES", "3"])
    assert done.returncode == 2
    assert done.stderr == (
        "error: sysu/mmd.yml: SAMPLER (IdentityModalitySampler): SAMPLER.IDENTITIES = 3 cannot be shared equally by"
        " 2 processes; set it to a multiple of 2\n"
    )


@pytest.mark.slow
def test_parameters_that_no_loss_trains_are_reported_once(command, call, tmp_path):
    words = [*IMPORTS, "MODEL.HEADS.UNUSED.NAME", "UnusedHead"]
    done = call([*command(tmp_path / "run", "--num-gpus", "2"), *words])
    assert done.returncode == 2
    assert done.stderr == (
        "error: no loss trains these parameters: heads.unused.layer.weight, heads.unused.layer.bias;"
        " add a term to OBJECTIVE that reads them, or empty their slot\n"
    )


@pytest.mark.slow
def test_no_process_outlives_a_killed_launcher(command, environment, tmp_path):
    """Otherwise it would continue to write into the folder of a run that is resumed."""
    process = subprocess.Popen(
        [*command(tmp_path / "run", "--num-gpus", "2"), "SOLVER.EPOCHS", "500"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + LIMIT
    try:
        while not (tmp_path / "run" / "checkpoints" / "epoch_0001").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    while True:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < deadline, "a process runs on without its launcher"
        time.sleep(0.05)
