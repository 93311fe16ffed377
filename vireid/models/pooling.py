"""Pooling layers: feature map to one vector for each row."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import POOLS
from vireid.layers.pooling import average, generalized_mean, maximum
from vireid.layers.precision import float32_or_more


@POOLS.register
class GeM(nn.Module):
    """Generalized-mean (GeM) pooling, with a constant or a learned exponent.

    The result is in float32 or more.

    Args:
        p: Exponent; 1 is average pooling, infinity max pooling.
        learn: Train the exponent, starting at `p`. The parameter is its logarithm, so that it stays above 0.

    Shape:
        feature_map (R, C, H, W), entries >= 0 -> (R, C).

    Raises:
        ValueError: If `p` is not above 0.

    Source:
        Radenovic et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2018. Constant exponent:
        AGW, HCT and MMD-ReID as released (p = 3; p = 10 for HCT's stripes on RegDB). Learned exponent, entries clamped
        to 1e-6 because a zero has no gradient to the exponent: MCE as released.

    Departs:
        MCE trains the exponent itself, not its logarithm.

    Example:
        >>> GeM(p=3.0)(torch.tensor([[[[0.0, 2.0]]]]))  # ((0^3 + 2^3) / 2)^(1/3)
        tensor([[1.5874]])
    """

    def __init__(self, *, p: float = 3.0, learn: bool = False) -> None:
        super().__init__()
        if p <= 0:
            raise ArgumentError("p", f"must be above 0, got {p}")
        self.start = float(p)
        self.log_p = nn.Parameter(torch.tensor([math.log(p)])) if learn else None

    @property
    def p(self) -> float | Tensor:
        """Current exponent."""
        return self.start if self.log_p is None else self.log_p.exp()

    def forward(self, feature_map: Tensor) -> Tensor:
        if self.log_p is None:
            return generalized_mean(feature_map, self.start)
        return generalized_mean(feature_map, self.log_p.exp(), eps=0.0, floor=1e-6)

    def extra_repr(self) -> str:
        return f"p={self.start}, learn={self.log_p is not None}"


@POOLS.register
class AveragePool(nn.Module):
    """Global average pooling, in float32 or more.

    Shape:
        feature_map (R, C, H, W) -> (R, C).

    Example:
        >>> AveragePool()(torch.tensor([[[[0.0, 2.0]]]]))
        tensor([[1.]])
    """

    def forward(self, feature_map: Tensor) -> Tensor:
        return average(feature_map)


@POOLS.register
class MaxPool(nn.Module):
    """Global max pooling, in float32 or more; equal maxima share the gradient.

    Shape:
        feature_map (R, C, H, W) -> (R, C).

    Example:
        >>> MaxPool()(torch.tensor([[[[0.0, 2.0]]]]))
        tensor([[2.]])
    """

    def forward(self, feature_map: Tensor) -> Tensor:
        return maximum(feature_map)


@POOLS.register
class ClassTokenPool(nn.Module):
    """Class token of a transformer as the pooled feature, in float32 or more.

    It needs a backbone with a class token and no adapter, because an adapter rewrites the map only.

    Shape:
        class_token (R, C) -> (R, C).

    Example:
        >>> ClassTokenPool()(torch.tensor([[0.5, -1.0]]))
        tensor([[ 0.5000, -1.0000]])
    """

    def forward(self, class_token: Tensor) -> Tensor:
        return float32_or_more(class_token)
