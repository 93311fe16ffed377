"""Several processes on one machine: launch them with torch.distributed.run, and report an error of them once."""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from vireid.core.errors import UserError

PARENT = "VIREID_PARENT"  # environment variable: process that this one must not outlive
_POLL_SECONDS = 0.2


def launch(count: int, script: str, argv: list[str] | None) -> int | None:
    """Run `script argv` in several processes by the launcher of torch.distributed.run, without restarts.

    Args:
        count: Number of processes.
        script: Python file of the command.
        argv: Its arguments; None: those of this process.

    Returns:
        The exit code of the processes; None if this process has to do the work itself, because `count` is 1 or because
        a launcher (this one, torchrun, accelerate launch) has started it.

    Raises:
        UserError: If a process ends with an exit code other than 0, 2 (user error) and 130 (Ctrl-C). For 2 and 130 the
            process has reported the reason.
    """
    if count < 1:
        raise UserError(f"--num-gpus must be at least 1, got {count}")
    terminate_with_parent()
    if "LOCAL_RANK" in os.environ or count == 1:
        return None
    devices = torch.cuda.device_count()
    if devices and count > devices:
        raise UserError(f"--num-gpus is {count}, but this machine has {devices} CUDA devices")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
    )
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    with _environment({**parent_variable(), "OMP_NUM_THREADS": threads}), _quiet_launcher():
        try:
            elastic_launch(config, sys.executable)(script, *(sys.argv[1:] if argv is None else argv))
        except SignalException as stop:
            if stop.sigval == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise SystemExit(128 + stop.sigval) from None
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            return _exit_code(failure.exitcode, rank, count)
    return 0


def _exit_code(code: int, rank: int, count: int) -> int:
    if code < 0:
        raise UserError(f"process {rank} of {count} was ended by signal {-code} ({signal.Signals(-code).name})")
    if code not in (2, 130):
        raise UserError(f"process {rank} of {count} failed (exit code {code}); its error is above")
    return code


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, which child processes inherit, within the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _quiet_launcher() -> Iterator[None]:
    """Silence the launcher, whose reports repeat the errors of the processes, and restore its signal handlers."""
    names = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    handlers = {name: signal.getsignal(name) for name in names}
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
        if threading.current_thread() is threading.main_thread():
            for name, handler in handlers.items():
                signal.signal(name, handler)


def parent_variable() -> dict[str, str]:
    """Environment of a vireid command that must end with this process (`terminate_with_parent`)."""
    return {PARENT: str(os.getpid())}


def terminate_with_parent() -> None:
    """End this process when the process named by `parent_variable` has ended in any way, `kill -9` included."""
    if PARENT not in os.environ:
        return
    parent = int(os.environ.pop(PARENT))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="vireid-parent", daemon=True).start()


@contextmanager
def report_errors_once() -> Iterator[None]:
    """Report an error that several processes raise in one of them only.

    A UserError passes in the process that raises this text first; in the others it becomes SystemExit(2). Any other
    exception passes in the process that fails first, because the others usually fail only as a consequence; in these
    it becomes SystemExit(1). Ctrl-C is left to the launcher. With one process nothing changes.
    """
    if "LOCAL_RANK" not in os.environ:
        yield
        return
    try:
        yield
    except UserError as error:
        _first_to_report("failed")
        if not _first_to_report(str(error)):
            raise SystemExit(2) from None
        raise
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception:
        if not _first_to_report("failed"):
            raise SystemExit(1) from None
        raise
    if distributed.is_initialized():
        gc.collect()  # wrapped networks hold the group's threads, which must not outlive the interpreter
        distributed.destroy_process_group()


def _first_to_report(text: str) -> bool:
    """Whether no other process has reported this text yet; True if the store of the launcher cannot be reached."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return True
    name = f"vireid/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{hashlib.sha256(text.encode()).hexdigest()}"
    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(address, port, is_master=False, timeout=timedelta(seconds=5))
        return store.add(name, 1) == 1
    except (KeyError, ValueError, RuntimeError):  # another launcher, or it has ended
        return True
