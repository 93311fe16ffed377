"""Normalisation of descriptors."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def l2_normalize(x: Tensor) -> Tensor:
    """Each vector along the last axis divided by its Euclidean length.

    Shapes: (..., D) -> (..., D).
    Departs from the released codes, which divide by the plain length: a zero vector stays zero here (and is at
    similarity 0 to everything) where theirs becomes NaN. Any other vector gets length 1, unless it is so short (1e-23
    in float32) that its square is 0.
    """
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / length.masked_fill(length == 0, 1)


def frozen_shift_neck(width: int) -> nn.BatchNorm1d:
    """The BN neck: scale drawn from N(1, 0.01), shift 0 and never trained (it stays in the state dict).

    Source: HCT, MMD, AGW as released.
    """
    neck = nn.BatchNorm1d(width)
    nn.init.normal_(neck.weight, 1.0, 0.01)
    nn.init.zeros_(neck.bias)
    neck.bias.requires_grad_(False)
    return neck
