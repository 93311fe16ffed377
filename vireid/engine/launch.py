"""Several processes on one machine: start the command again in each, watch over them, let them speak with one voice."""

from __future__ import annotations

import gc
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from vireid.core.errors import UserError

_LIFELINE = "VIREID_LIFELINE"  # descriptor that is closed when the process that launched this one ends
_SECONDS_TO_END = 10.0  # between asking the others to end and ending them


def in_processes(count: int, script: str, argv: list[str] | None) -> int | None:
    """Run `script argv` in `count` processes and return their exit code; None: this process should do the work itself.

    That is so for a count of 1, and in a process that a launcher (this one, torchrun, accelerate launch) has started.
    The first process that fails ends all of them, and none outlives this one. Exit code 2 or 130 is the processes'
    own, which have said why; anything else is a UserError that tells which process failed.
    """
    if count < 1:
        raise UserError(f"--num-gpus must be at least 1, got {count}")
    _end_with_the_launcher()
    if "LOCAL_RANK" in os.environ:
        return None
    if count == 1:
        return None
    devices = torch.cuda.device_count()
    if devices and count > devices:
        raise UserError(f"--num-gpus is {count}, but this machine has {devices} CUDA devices")
    command = [sys.executable, script, *(sys.argv[1:] if argv is None else argv)]
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # the store above serves; rank 0 need not open another port
        "TORCHELASTIC_RESTART_COUNT": "0",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count))),
    }
    processes = []
    with lifeline() as (alive, descriptor):
        try:
            for rank in range(count):
                environment = {**os.environ, **shared, **alive, "RANK": str(rank), "LOCAL_RANK": str(rank)}
                processes.append(subprocess.Popen(command, env=environment, pass_fds=[descriptor]))
            rank, code = _first_failure(processes)
        finally:
            _end(processes)
    if code < 0:
        raise UserError(f"process {rank} of {count} was ended by signal {-code} ({signal.Signals(-code).name})")
    if code not in (0, 2, 130):
        raise UserError(f"process {rank} of {count} failed (exit code {code}); its error stands above")
    return code


@contextmanager
def lifeline() -> Iterator[tuple[dict[str, str], int]]:
    """Environment and descriptor for a vireid command that has to end with this process, however that ends."""
    descriptor, held = os.pipe()
    try:
        yield {_LIFELINE: str(descriptor)}, descriptor
    finally:
        os.close(descriptor)
        os.close(held)


def _first_failure(processes: list[subprocess.Popen]) -> tuple[int, int]:
    """Rank and exit code of the first process that fails; (0, 0) when all have ended well."""
    while True:
        codes = [process.poll() for process in processes]
        failed = [(rank, code) for rank, code in enumerate(codes) if code]
        if failed:
            return failed[0]
        if all(code == 0 for code in codes):
            return 0, 0
        time.sleep(0.05)


def _end(processes: list[subprocess.Popen]) -> None:
    """Ask those that still run to end, then end them."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    until = time.monotonic() + _SECONDS_TO_END
    for process in processes:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_with_the_launcher() -> None:
    """End this process as soon as the one that launched it has ended in any way, `kill -9` included."""
    if _LIFELINE not in os.environ:
        return
    descriptor = int(os.environ.pop(_LIFELINE))

    def watch() -> None:
        os.read(descriptor, 1)  # nobody writes: it returns when the other end is closed
        os._exit(1)

    threading.Thread(target=watch, name="vireid-lifeline", daemon=True).start()


@contextmanager
def one_voice() -> Iterator[None]:
    """Around the work of one of several processes: what several of them have to say is said once.

    A UserError goes through in the first process that has this text; in the others it becomes SystemExit(2). Any other
    exception goes through in the first process that fails at all, because those after it usually fail only for the loss
    of the first; in these it becomes SystemExit(1). Ctrl-C is left to the launcher. With one process nothing changes.
    """
    if "LOCAL_RANK" not in os.environ:
        yield
        return
    try:
        yield
    except UserError as error:
        _first_to_say("failed")
        if not _first_to_say(str(error)):
            raise SystemExit(2) from None
        raise
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception:
        if not _first_to_say("failed"):
            raise SystemExit(1) from None
        raise
    if distributed.is_initialized():
        gc.collect()  # wrapped networks hold the group's threads, which must not outlive the interpreter
        distributed.destroy_process_group()


def _first_to_say(text: str) -> bool:
    """Whether no other process has said this yet; True where they cannot be asked."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return True
    name = f"vireid/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{hashlib.sha256(text.encode()).hexdigest()}"
    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(address, port, is_master=False, timeout=timedelta(seconds=5))
        return store.add(name, 1) == 1
    except (KeyError, ValueError, RuntimeError):  # no launcher of torch's kind, or it is gone
        return True
