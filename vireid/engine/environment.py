"""Device, precision and processes of a run. Nobody above knows whether there is one process or many."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from accelerate import Accelerator

from vireid.core.errors import UserError

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
        self.accelerator = Accelerator(cpu=device == "cpu", mixed_precision="no")
        self.device = self.accelerator.device
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


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends.cpu, "get_cpu_capability") else ""
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return "AVX512" in capabilities and any(check is not None and check() for check in (native, amx))
