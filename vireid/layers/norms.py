"""L2 normalization of embeddings, and the BN neck."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def l2_normalize(x: Tensor) -> Tensor:
    """L2-normalize each vector along the last axis: (..., D) -> (..., D).

    A zero vector stays zero, and so has similarity 0 to every vector. In the released codes, which divide by the norm,
    it becomes NaN. Vectors so short that their square underflows (1e-23 in float32) also stay as they are.

    Example:
        >>> l2_normalize(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / length.masked_fill(length == 0, 1)


def frozen_shift_neck(width: int) -> nn.BatchNorm1d:
    """Build a BN neck: scale drawn from N(1, 0.01), shift 0 and not trained (it stays in the state dict).

    Source:
        HCT, MMD-ReID and AGW as released.
    """
    neck = nn.BatchNorm1d(width)
    nn.init.normal_(neck.weight, 1.0, 0.01)
    nn.init.zeros_(neck.bias)
    neck.bias.requires_grad_(False)
    return neck
