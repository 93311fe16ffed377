"""Device, precision and processes of a run. Nobody above knows whether there is one process or many."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, distributed, nn

from vireid.core.errors import UserError

T = TypeVar("T")
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "bf16", "float32"]


class Environment:
    """Where a run computes.

    `device` auto takes a CUDA device where there is one. `precision` auto takes bfloat16 where the hardware
    multiplies it natively (CUDA, CPUs with AVX512-BF16 or AMX), float32 elsewhere; only the network runs in
    bfloat16, losses and weights stay float32. Accelerate provides the process group; its own mixed precision
    is left off because it would wrap the losses as well.
    """

    def __init__(self, *, device: Device = "auto", precision: Precision = "auto") -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("DEVICE is 'cuda', but torch finds no CUDA device here; set DEVICE cpu or auto")
        on_cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())  # then processes use gloo
        self.accelerator = Accelerator(cpu=on_cpu, mixed_precision="no")
        self.device = self.accelerator.device
        if self.device.type == "cpu":
            _keep_freed_memory()
        self.bf16 = precision == "bf16" or (precision == "auto" and _multiplies_bf16(self.device))

    @property
    def rank(self) -> int:
        return self.accelerator.process_index

    @property
    def world(self) -> int:
        return self.accelerator.num_processes

    @property
    def is_main(self) -> bool:
        return self.accelerator.is_main_process

    @property
    def precision(self) -> str:
        return "bf16" if self.bf16 else "float32"

    # -- several processes; with one, each of these returns at once ---------------------------------------------------

    def wait(self) -> None:
        """Until every process is here."""
        self.accelerator.wait_for_everyone()

    def gather(self, value: T) -> list[T]:
        """The plain values of all processes, by rank, in every process."""
        return gather_object([value]) if self.world > 1 else [value]

    def from_main(self, work: Callable[[], T]) -> T:
        """What `work` returns in the first process, in every process. A UserError of it is raised in all."""
        if self.world == 1:
            return work()
        said: list[Any] = [None, None]  # result, text of an error
        if self.is_main:
            try:
                said[0] = work()
            except UserError as error:
                broadcast_object_list([None, str(error)])
                raise
        broadcast_object_list(said)
        if said[1] is not None:
            raise UserError(said[1])
        return said[0]

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes of a tensor that has the same shape in each."""
        if self.world > 1:
            values = values.clone()
            distributed.all_reduce(values)
            values /= self.world
        return values

    def same_buffers(self, module: nn.Module) -> None:
        """Give every process the buffers (running statistics, memories) of the first one."""
        if self.world > 1:
            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)

    def autocast(self) -> AbstractContextManager:
        """The precision of the network's forward pass."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bf16 else nullcontext()

    def describe(self) -> dict[str, str | int]:
        """What to write beside a result."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        return {
            "device": name,
            "precision": self.precision,
            "processes": self.world,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }


def _keep_freed_memory() -> None:
    """Have glibc keep large blocks that are freed, for the process's lifetime; elsewhere nothing happens.

    It gives blocks above 32 MB, such as the maps of the first stages, back to the kernel and gets them anew, page by
    page and zeroed, in every step: 5 to 15 % of a training step on a CPU.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends.cpu, "get_cpu_capability") else ""
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return "AVX512" in capabilities and any(check is not None and check() for check in (native, amx))
