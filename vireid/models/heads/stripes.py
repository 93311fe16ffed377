"""Stripe head (HCT): horizontal stripes of the feature map, each with its embedding and classifier."""

from __future__ import annotations

import math
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.errors import ArgumentError, ConfigError
from vireid.core.registries import HEADS
from vireid.layers.parts import PartLinear
from vireid.layers.pooling import power_mean


@HEADS.register
class StripeHead(nn.Module):
    """Part-based head: horizontal stripes, each with GeM pooling, linear layer, BN, ReLU and identity classifier.

    The layers of all stripes run as one product. There is no BN neck: retrieval and metric losses use `features`.

    Args:
        num_parts: Number of stripes P.
        dim: Width of the embedding of each stripe.
        p: Exponent of GeM pooling.
        num_ids: Number of identities I.
        channels: Number of channels C of the feature map.

    Shape:
        feature_map (R, C, H, W), H a multiple of P -> part_features (R, P, dim); features (R, P dim), the parts
        concatenated; in training also part_logits (R, P, I).

    Raises:
        ValueError: If an argument is out of range.
        ConfigError: In the first batch, if the height of the map is not a multiple of `num_parts`.

    Source:
        Liu et al., "Parameter Sharing Exploration and Hetero-Center Triplet Loss for Visible-Thermal Person
        Re-Identification" (HCT), TMM 2020; released code: 1 x 1 convolution with bias and Kaiming normal weights (fan
        in), classifiers with bias and weights from N(0, 0.001), `p` 10 on RegDB and 3 on SYSU-MM01.

    Departs:
        Not in any number.

    Example:
        >>> import torch
        >>> head = StripeHead(num_parts=3, dim=2, num_ids=5, channels=4)
        >>> {name: tuple(value.shape) for name, value in head(torch.rand(2, 4, 6, 3)).items()}
        {'features': (2, 6), 'part_features': (2, 3, 2), 'part_logits': (2, 3, 5)}
    """

    provides: ClassVar[frozenset[str]] = frozenset({"features", "part_features", "part_logits"})
    training_only: ClassVar[frozenset[str]] = frozenset({"part_logits"})
    identity_tensors: ClassVar[frozenset[str]] = frozenset({"classifier.weight", "classifier.bias"})

    def __init__(self, *, num_parts: int = 6, dim: int = 256, p: float = 3.0, num_ids: int, channels: int) -> None:
        super().__init__()
        if num_parts < 1 or dim < 1:
            raise ValueError(f"num_parts and dim must be at least 1, got {num_parts} and {dim}")
        if p <= 0:
            raise ArgumentError("p", f"must be above 0, got {p}")
        self.num_parts, self.dim, self.p = num_parts, dim, float(p)
        self.dims = {"features": num_parts * dim, "part_features": dim, "part_logits": num_ids}
        self.project = PartLinear(num_parts, channels, dim)
        self.norm = nn.BatchNorm1d(num_parts * dim)
        self.classifier = PartLinear(num_parts, dim, num_ids)
        nn.init.normal_(self.project.weight, 0.0, math.sqrt(2 / channels))
        nn.init.normal_(self.classifier.weight, 0.0, 0.001)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, feature_map: Tensor) -> dict[str, Tensor]:
        stripes = self._stripes(feature_map)
        features = F.relu(self.norm(self.project(stripes).flatten(1)))
        parts = features.unflatten(1, (self.num_parts, self.dim))
        fields = {"features": features, "part_features": parts}
        if self.training:
            fields["part_logits"] = self.classifier(parts)
        return fields

    def _stripes(self, feature_map: Tensor) -> Tensor:
        """Pool each stripe, (R, C, H, W) -> (R, P, C)."""
        height = feature_map.shape[2]
        if height % self.num_parts:
            raise ConfigError(
                [
                    f"StripeHead: a map of height {height} cannot be cut into {self.num_parts} equal stripes; change "
                    f"NUM_PARTS, or SIZE so that the height of the map (of the images / 16 with LAST_STRIDE 1) is a "
                    f"multiple of it"
                ]
            )
        stripes = feature_map.unflatten(2, (self.num_parts, -1)).flatten(3)  # a view, also in channels_last
        return power_mean(stripes, self.p).transpose(1, 2)
