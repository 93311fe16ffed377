"""Graph attention between the rows of a batch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GAIN = 1.414  # of the initialization in the released code


class GraphAttention(nn.Module):
    """Multi-head graph attention layer over the rows of a batch.

    For each head, with h = rows W, u = h a1, v = h a2: weights = softmax over adjacent j of LeakyReLU(u_i + v_j),
    out_i = sum_j weight_ij h_j. Weights start Xavier uniform with gain 1.414, as in the released code.

    Args:
        inputs: Width D of the rows.
        outputs: Width F of each head.
        heads: Number of heads.
        dropout: Dropout probability of the attention weights.
        slope: Negative slope of the LeakyReLU.

    Shape:
        rows (N, D), adjacent (N, N) bool, each row adjacent to itself -> (N, heads, F).

    Source:
        Velickovic et al., "Graph Attention Networks", ICLR 2018; DDAG (ECCV 2020), released code.

    Departs:
        Not in any number. In the released code a1 and a2 are one vector that multiplies all N x N concatenated pairs,
        which needs N x N x 2F of memory. Its ELU is left to the caller.
    """

    def __init__(self, inputs: int, outputs: int, *, heads: int = 1, dropout: float = 0.2, slope: float = 0.2) -> None:
        super().__init__()
        self.slope = slope
        self.weight = nn.Parameter(_xavier(heads, inputs, outputs, fan=inputs + outputs))
        self.source = nn.Parameter(_xavier(heads, outputs, fan=2 * outputs + 1))
        self.target = nn.Parameter(_xavier(heads, outputs, fan=2 * outputs + 1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, adjacent: Tensor) -> Tensor:
        h = rows @ self.weight  # (heads, N, F)
        u, v = h @ self.source.unsqueeze(2), h @ self.target.unsqueeze(2)  # (heads, N, 1)
        scores = F.leaky_relu(u + v.transpose(1, 2), self.slope).masked_fill(~adjacent, float("-inf"))
        return (self.dropout(scores.softmax(dim=2)) @ h).transpose(0, 1)

    def extra_repr(self) -> str:
        heads, inputs, outputs = self.weight.shape
        return f"{inputs} -> {heads} x {outputs}, slope={self.slope}"


def _xavier(*shape: int, fan: int) -> Tensor:
    bound = GAIN * math.sqrt(6 / fan)
    return torch.empty(shape).uniform_(-bound, bound)
