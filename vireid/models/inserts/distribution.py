"""Modality distribution adapter (MCJA): channel gate from attention-weighted contexts of the feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import INSERTS
from vireid.layers.precision import float32_or_more, without_autocast


class ModalityDistributionBlock(nn.Module):
    """Channel gate from attention-weighted contexts, with a batch-normalized residual.

    m attention maps, each a softmax over positions of a 1 x 1 convolution, give m weighted means of every channel. One
    filter for each channel combines them to t. With the gate g = sigmoid(BN(t)), the output is x + BN(g x). Scale and
    shift of the second BN start at 0, so that the block starts as the identity. It is computed in float32 or more and
    cast back to the type of the map. In training, the statistics are those of all rows of both modalities.

    Args:
        channels: Number of channels C.
        maps: Number of attention maps m.

    Shape:
        (R, C, H, W) -> (R, C, H, W).

    Source:
        Liang et al., "Bridging the Gap: Multi-level Cross-modality Joint Alignment for Visible-infrared Person
        Re-identification" (MCJA), TCSVT 2024; released code.

    Departs:
        Not in any number. The released convolution of the maps has a bias, which has no effect before a softmax over
        positions.
    """

    def __init__(self, channels: int, *, maps: int = 2) -> None:
        super().__init__()
        self.attend = nn.Conv2d(channels, maps, 1, bias=False)
        self.combine = nn.Conv1d(channels, channels, maps, groups=channels, bias=False)
        self.gate_norm = nn.BatchNorm1d(channels)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)
        nn.init.zeros_(self.norm.bias)

    def forward(self, feature_map: Tensor) -> Tensor:
        with without_autocast(feature_map):
            x = float32_or_more(feature_map)
            attention = self.attend(x).flatten(2).softmax(dim=2)
            contexts = x.flatten(2) @ attention.transpose(1, 2)  # (R, C, m)
            gate = torch.sigmoid(self.gate_norm(self.combine(contexts).squeeze(2)))
            return (x + self.norm(gate[:, :, None, None] * x)).to(feature_map.dtype)


@INSERTS.register
class ModalityDistribution:
    """Insert `ModalityDistributionBlock` after the last `count` blocks of a stage.

    Args:
        count: Number of blocks of the stage that are followed by one.
        maps: Number of attention maps of each block.

    Raises:
        ArgumentError: If an argument is below 1.

    Source:
        MCJA as released has 2 in stage 2 and 3 in stage 3 of ResNet-50, with 2 maps on SYSU-MM01 and 12 on RegDB.

    Example:
        >>> insert = ModalityDistribution(count=1, maps=2)
        >>> insert.build(channels=4)(torch.rand(2, 4, 6, 3)).shape
        torch.Size([2, 4, 6, 3])
    """

    def __init__(self, *, count: int = 1, maps: int = 2) -> None:
        for name, value in (("count", count), ("maps", maps)):
            if value < 1:
                raise ArgumentError(name, f"must be at least 1, got {value}")
        self.count, self.maps = count, maps

    def build(self, channels: int) -> ModalityDistributionBlock:
        """Build one block for maps of this number of channels."""
        return ModalityDistributionBlock(channels, maps=self.maps)
