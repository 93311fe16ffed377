"""Where single precision is not a matter of taste: pooling, necks, classifiers, distances and losses."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def float32_or_more(tensor: Tensor) -> Tensor:
    """Half-precision floats as float32; everything else (float64, integers, masks) unchanged.

    >>> float32_or_more(torch.ones(1, dtype=torch.bfloat16)).dtype
    torch.float32
    >>> float32_or_more(torch.ones(1, dtype=torch.float64)).dtype
    torch.float64
    """
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def without_autocast(tensor: Tensor) -> AbstractContextManager:
    """Context manager: no autocast on the device of `tensor` (nothing to do on devices that have none)."""
    kind = tensor.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
