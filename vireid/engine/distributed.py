"""Device, precision and processes of a run; gathering of rows over processes.

The code above this module is the same for one process and for several.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from typing import Any, Literal, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, distributed, nn

from vireid.core.errors import UserError
from vireid.core.types import Batch, ModelOutput
from vireid.layers.precision import float32_or_more

T = TypeVar("T")
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "bf16", "float32"]


class Environment:
    """Device, precision and process group of a run.

    Only the network runs in bfloat16; losses and weights stay float32. Accelerate provides the process group. Its own
    mixed precision is off, because it would also wrap the losses.

    Args:
        device: "auto" is a CUDA device if one is available.
        precision: "auto" is bfloat16 if the hardware computes it natively (CUDA, CPUs with AVX512-BF16 or AMX).

    Raises:
        UserError: If CUDA is chosen and not available.
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
        """Wait until all processes reach this call."""
        self.accelerator.wait_for_everyone()

    def gather(self, value: T) -> list[T]:
        """Return the plain values of all processes, by rank, in every process."""
        return gather_object([value]) if self.world > 1 else [value]

    def from_main(self, work: Callable[[], T]) -> T:
        """Call `work` in the main process and return its result in every process; its UserError is raised in all."""
        if self.world == 1:
            return work()
        message: list[Any] = [None, None]  # result, text of an error
        if self.is_main:
            try:
                message[0] = work()
            except UserError as error:
                broadcast_object_list([None, str(error)])
                raise
        broadcast_object_list(message)
        if message[1] is not None:
            raise UserError(message[1])
        return message[0]

    def mean(self, values: Tensor) -> Tensor:
        """Average a tensor of the same shape over the processes."""
        if self.world > 1:
            values = values.clone()
            distributed.all_reduce(values)
            values /= self.world
        return values

    def same_buffers(self, module: nn.Module) -> None:
        """Broadcast the buffers of the main process: running statistics, memories."""
        if self.world > 1:
            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)

    def autocast(self) -> AbstractContextManager:
        """Context of the network's forward pass."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bf16 else nullcontext()

    def describe(self) -> dict[str, str | int]:
        """Device, precision and versions, which are stored with a result."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        return {
            "device": name,
            "precision": self.precision,
            "processes": self.world,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }


class _Gathered(torch.autograd.Function):
    """All-gather with gradients: (R, ...) of each process -> (world R, ...), ordered by rank.

    Backward: the gradient of a row is the sum over the losses of all processes. DistributedDataParallel then averages
    parameter gradients over processes, which gives the gradient of the mean of the processes' losses. If all processes
    compute the same loss from the same rows, this is the gradient of one process with the complete batch.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.rows = len(rows)
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(world_size())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        gradient = gradient.contiguous().clone()
        distributed.all_reduce(gradient)
        start = distributed.get_rank() * ctx.rows
        return gradient[start : start + ctx.rows]


def world_size() -> int:
    """Number of processes; 1 without a process group."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def gather_rows(rows: Tensor) -> Tensor:
    """Gather rows of all processes, (R, ...) -> (world R, ...), differentiable; R must be the same in each."""
    if world_size() == 1:
        return rows
    if rows.dtype == torch.bool:  # not supported by every backend
        return gather_rows(rows.to(torch.uint8)).bool()
    return _Gathered.apply(rows)  # type: ignore[return-value]


def gather_step(batch: Batch, features: ModelOutput, names: Iterable[str]) -> tuple[Batch, ModelOutput]:
    """Gather a batch, without its images, and named output fields over all processes.

    Floating-point fields are gathered in float32, in which losses are computed. With one process nothing changes.

    Args:
        batch: The batch of this process.
        features: Output of the network for it.
        names: Fields that the losses read.
    """
    if world_size() == 1:
        return batch, features
    rows = len(batch)
    columns = {field.name: getattr(batch, field.name) for field in fields(batch) if field.name != "images"}
    whole = {name: gather_rows(value) for name, value in columns.items() if isinstance(value, Tensor)}
    present = sorted(name for name in names if name in features.values)  # one order for all processes
    values = {name: features.values[name] for name in present}
    values = {name: gather_rows(float32_or_more(value)) for name, value in values.items()}
    source = features.source
    if source is not None:
        source = gather_rows(source + rows * distributed.get_rank())
    return replace(batch, images=batch.images[:0], visible=None, host=None, **whole), ModelOutput(values, source)


def _keep_freed_memory() -> None:
    """Make glibc keep freed large blocks for the lifetime of the process; no effect with other C libraries.

    By default it returns blocks above 32 MB, such as the maps of the first stages, to the kernel and requests them
    again in every step, page by page and zeroed: 5 to 15 % of a training step on a CPU.
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
