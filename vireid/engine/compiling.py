"""`COMPILE true`: run the backbone through torch.compile in training, and uncompiled everywhere else.

Batches of training have one shape, and one compilation serves the whole run. Evaluation has batches of many shapes
(the last one, one modality alone); compiling these would cost more than it saves. The same weights are therefore
evaluated to the same numbers with and without COMPILE.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from vireid.core.errors import ConfigError, UserError

INDUCTOR = "inductor"  # torch's default backend: C++ kernels on a CPU, Triton kernels on a GPU


def require_compiler(device: torch.device) -> None:
    """Look for the compiler that torch.compile needs on a device; nothing is compiled.

    Raises:
        ConfigError: If it is missing.
    """
    fault = _cpp_fault() if device.type == "cpu" else _triton_fault()
    if fault:
        raise ConfigError([f"COMPILE = true, but {fault}; install one, or set COMPILE false"])


def _cpp_fault() -> str:
    try:
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler
    except ImportError:  # not public: another version of torch reports a missing compiler in the first step
        return ""
    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, OSError) as error:
        return f"torch.compile finds no C++ compiler for the CPU ({_first_line(error)})"
    return ""


def _triton_fault() -> str:
    try:
        import triton  # noqa: F401
    except ImportError:
        return "torch.compile needs the package triton for a CUDA device, and it is not installed"
    return ""


def compile_for_training(module: nn.Module, *, backend: Any = INDUCTOR) -> None:
    """Compile calls of a module in training mode, in place; calls in evaluation mode stay as they are.

    Names in the state dict do not change, and a copy of the module is not compiled. Compilation happens in the first
    call; see `compile_faults` for its errors.

    Args:
        module: The module, such as a backbone.
        backend: Of torch.compile.
    """
    module.compile(backend=backend)
    compiled = module._compiled_call_impl
    assert compiled is not None

    def call(*arguments: Any, **named: Any) -> Any:
        chosen = compiled if module.training else module._call_impl
        return chosen(*arguments, **named)

    module._compiled_call_impl = call  # what nn.Module.compile sets; torch leaves it out of copies


@contextmanager
def compile_faults() -> Iterator[None]:
    """Turn a failed compilation, forward or backward, into a UserError; the first step raises it, before any change."""
    try:
        yield
    except Exception as error:
        exceptions = getattr(torch._dynamo, "exc", None) if "torch._dynamo" in sys.modules else None
        if exceptions is None or not isinstance(error, exceptions.TorchDynamoException):
            raise
        raise UserError(
            f"COMPILE: torch.compile cannot compile the backbone ({_first_line(error)}); set COMPILE false"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return text.rstrip(".")
