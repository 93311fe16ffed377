"""Where single precision is not a matter of taste: pooling, necks, classifiers, distances and losses."""

from __future__ import annotations

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


def without_autocast(tensor: Tensor) -> torch.autocast:
    """Context manager: no autocast on the device of `tensor`."""
    return torch.autocast(device_type=tensor.device.type, enabled=False)
