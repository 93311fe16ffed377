"""Pools: the map of the backbone to one vector for each row."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vireid.core.registries import POOLS
from vireid.layers.pooling import average, generalized_mean, maximum


@POOLS.register
class GeM(nn.Module):
    """Generalised mean; see `vireid.layers.pooling.generalized_mean`.

    Shapes: (R, C, H, W), entries >= 0 -> (R, C) in float32 or more.
    `learn` makes the exponent one trained number that starts at `p` and stays above 0: its logarithm is the parameter.
    Source: constant, with 1e-12 under the root: AGW, HCT and MMD as released (p = 3; HCT's stripes p = 10 on RegDB).
    Learned, with entries raised to at least 1e-6 instead (a zero has no gradient to the exponent): MCE as released;
    departs: MCE trains the exponent itself.
    """

    def __init__(self, *, p: float = 3.0, learn: bool = False) -> None:
        super().__init__()
        if p <= 0:
            raise ValueError(f"p must be above 0, got {p}")
        self.start = float(p)
        self.log_p = nn.Parameter(torch.tensor([math.log(p)])) if learn else None

    @property
    def p(self) -> float | Tensor:
        """The exponent as it is now."""
        return self.start if self.log_p is None else self.log_p.exp()

    def forward(self, feature_map: Tensor) -> Tensor:
        if self.log_p is None:
            return generalized_mean(feature_map, self.start)
        return generalized_mean(feature_map, self.log_p.exp(), eps=0.0, floor=1e-6)

    def extra_repr(self) -> str:
        return f"p={self.start}, learn={self.log_p is not None}"


@POOLS.register
class AveragePool(nn.Module):
    """Mean over positions: (R, C, H, W) -> (R, C) in float32 or more."""

    def forward(self, feature_map: Tensor) -> Tensor:
        return average(feature_map)


@POOLS.register
class MaxPool(nn.Module):
    """Maximum over positions: (R, C, H, W) -> (R, C) in float32 or more."""

    def forward(self, feature_map: Tensor) -> Tensor:
        return maximum(feature_map)
