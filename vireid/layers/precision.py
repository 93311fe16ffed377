"""Precision helpers: float32 for pooling, necks, classifiers, distances and losses."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def float32_or_more(tensor: Tensor) -> Tensor:
    """Cast half-precision floats to float32; float64, integers and masks stay unchanged.

    Example:
        >>> float32_or_more(torch.ones(1, dtype=torch.bfloat16)).dtype
        torch.float32
        >>> float32_or_more(torch.ones(1, dtype=torch.float64)).dtype
        torch.float64
    """
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def without_autocast(tensor: Tensor) -> AbstractContextManager:
    """Context manager that disables autocast on the device of a tensor, if the device has autocast.

    A graph of `torch.export` that is traced without autocast contains no such region: an empty one cannot be saved.
    """
    kind = tensor.device.type
    if torch.compiler.is_exporting() and not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
