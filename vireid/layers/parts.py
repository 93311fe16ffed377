"""Layers with separate weights for each part, computed in one product, and pooling by part masks."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class PartLinear(nn.Module):
    """Linear layer with separate weights for each part.

    Weights and bias start as in `nn.Linear`: uniform within 1 / sqrt(D).

    Shape:
        (R, P, D) -> (R, P, outputs); weight (P, outputs, D), bias (P, outputs) or None without `bias`.
    """

    def __init__(self, num_parts: int, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(num_parts, outputs, inputs).uniform_(-bound, bound))
        if bias:
            self.bias = nn.Parameter(torch.empty(num_parts, outputs).uniform_(-bound, bound))
        else:
            self.register_parameter("bias", None)

    def forward(self, rows: Tensor) -> Tensor:
        product = torch.bmm(rows.transpose(0, 1), self.weight.transpose(1, 2))
        return product.transpose(0, 1) if self.bias is None else product.transpose(0, 1) + self.bias

    def extra_repr(self) -> str:
        parts, outputs, inputs = self.weight.shape
        return f"parts={parts}, {inputs} -> {outputs}"


def masked_means(feature_map: Tensor, masks: Tensor) -> Tensor:
    """Mean over the positions of mask times map, for each mask: (R, C, H, W), (R, P, H, W) -> (R, P, C).

    The sum is divided by the number of positions, not by the area of the mask. All masks are applied in one product.

    Example:
        >>> masked_means(torch.tensor([[[[2.0, 4.0]]]]), torch.tensor([[[[1.0, 0.0]], [[1.0, 1.0]]]]))
        tensor([[[1.],
                 [3.]]])
    """
    positions = feature_map.flatten(2)
    return torch.bmm(masks.flatten(2), positions.transpose(1, 2)) / positions.shape[2]
