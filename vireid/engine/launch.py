"""Several processes on one machine: start this command again under torch's launcher."""

from __future__ import annotations

import os
import subprocess
import sys

import torch

from vireid.core.errors import UserError


def in_processes(count: int, script: str, argv: list[str] | None) -> bool:
    """Run `script argv` in `count` processes and wait for them; False where this process should do the work itself.

    That is the case for a count of 1 and in a process that a launcher (torchrun, accelerate launch) has started.
    A process that fails ends all of them; UserError then, after its own error was printed.
    """
    if count < 1:
        raise UserError(f"--num-gpus must be at least 1, got {count}")
    if count == 1 or "LOCAL_RANK" in os.environ:
        return False
    devices = torch.cuda.device_count()
    if devices and count > devices:
        raise UserError(f"--num-gpus is {count}, but this machine has {devices} CUDA devices")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    finished = subprocess.run([*launcher, script, *(sys.argv[1:] if argv is None else argv)], check=False)
    if finished.returncode:
        raise UserError(
            f"one of the {count} processes failed (exit code {finished.returncode}); its error stands above"
        )
    return True
