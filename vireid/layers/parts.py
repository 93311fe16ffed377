"""Layers with separate weights for each part, computed in one product."""

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
