"""Launch of several processes: exit codes, errors that are reported once, processes that end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vireid.core.errors import UserError
from vireid.engine.launch import PARENT, launch, parent_variable, report_errors_once

ROOT = Path(__file__).parents[3]
SCRIPT = """
import os
import signal
import sys
import time
from vireid.core.errors import DataError, UserError
from vireid.engine.launch import launch, report_errors_once

def fail(kind):
    if kind == "user":
        raise DataError("all processes find this")
    if kind == "bug":
        raise RuntimeError("a bug")
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)

try:
    with report_errors_once():
        code = launch(2, __file__, sys.argv[1:])
        if code is not None:
            print("code", code)
            sys.exit(code)
        rank, kind = int(os.environ["RANK"]), sys.argv[1]
        if kind == "wait":
            print("pid", os.getpid(), flush=True)
            time.sleep(300)
        if rank == 1 or kind == "user":
            fail(kind)
        elif kind != "none":
            time.sleep(300)
        print("rank", rank, os.environ["WORLD_SIZE"], os.environ["OMP_NUM_THREADS"])
except UserError as error:
    print("error:", error, file=sys.stderr)
    sys.exit(2)
"""


@pytest.fixture
def command(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    return lambda kind: [sys.executable, str(tmp_path / "script.py"), kind]


def run(words):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.slow
def test_two_processes_end_well(command):
    done = run(command("none"))
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == ["code 0", "rank 0 2 1", "rank 1 2 1"]


@pytest.mark.slow
def test_an_error_of_both_processes_is_reported_once(command):
    done = run(command("user"))
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["error: all processes find this"]
    assert done.stdout == "code 2\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("bug", "error: process 1 of 2 failed (exit code 1); its error is above"),
        ("kill", "error: process 1 of 2 was ended by signal 9 (SIGKILL)"),
    ],
)
def test_a_process_that_fails_ends_the_others(command, kind, text):
    began = time.monotonic()
    done = run(command(kind))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == text
    assert done.stderr.count("Traceback") == (kind == "bug")
    assert time.monotonic() - began < 150, "the other process would sleep for 300 seconds"


@pytest.mark.slow
def test_no_process_outlives_a_killed_launcher(command):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command("wait"), env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(process.stdout.readline().split()[1]) for _ in range(2)]
        process.send_signal(signal.SIGKILL)
    until = time.monotonic() + 30
    while any(_runs(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.1)
    assert not [pid for pid in pids if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return not Path("/proc/self").exists()


def test_one_process_works_itself_and_fewer_are_refused(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert launch(1, "unused.py", []) is None
    with pytest.raises(UserError, match="--num-gpus must be at least 1, got 0"):
        launch(0, "unused.py", [])


def test_a_launched_process_works_itself(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert launch(4, "unused.py", []) is None


def test_the_variable_of_the_parent_is_this_process():
    assert parent_variable() == {PARENT: str(os.getpid())}


def test_without_a_launcher_errors_pass(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(UserError, match="as raised"), report_errors_once():
        raise UserError("as raised")
