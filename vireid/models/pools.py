"""Pools: the map of the backbone to one vector for each row."""

from __future__ import annotations

from torch import Tensor, nn

from vireid.core.registries import POOLS
from vireid.layers.pooling import average, generalised_mean, maximum


@POOLS.register
class GeM(nn.Module):
    """Generalised mean with a constant exponent; see `vireid.layers.pooling.generalised_mean`.

    Shapes: (R, C, H, W), entries >= 0 -> (R, C) in float32 or more.
    Source: AGW, HCT and MMD as released (p = 3; HCT's stripes p = 10 on RegDB).
    """

    def __init__(self, *, p: float = 3.0) -> None:
        super().__init__()
        if p <= 0:
            raise ValueError(f"p must be above 0, got {p}")
        self.p = float(p)

    def forward(self, feature_map: Tensor) -> Tensor:
        return generalised_mean(feature_map, self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


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
