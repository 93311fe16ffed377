"""Modality alleviation (MPANet): gated instance normalization of the feature map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.registries import INSERTS
from vireid.layers.precision import float32_or_more, without_autocast

EPS = 1e-5  # added to the variance, as in instance normalization


class ModalityAlleviationBlock(nn.Module):
    """Gated instance normalization: blend each channel with its instance-normalized form.

    m = sigmoid(W2 relu(W1 mean(x))) is one gate for each channel of each image. IN has no parameters and uses the
    statistics of the image in training and evaluation. Both parts are linear in x for one image and channel, so that
    the block is one multiplication and addition. It is computed in float32 or more and cast back to the type of the
    map.

    Args:
        channels: Number of channels C.
        reduction: The inner layer of the gate has C / reduction channels, at least one.

    Shape:
        (R, C, H, W) -> (R, C, H, W), m x + (1 - m) IN(x).

    Source:
        Wu et al., "Discover Cross-Modality Nuances for Visible-Infrared Person Re-Identification" (MPANet), CVPR 2021,
        modality alleviation module; released code.

    Departs:
        Not in any number.
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.squeeze = nn.Conv2d(channels, inner, 1, bias=False)
        self.excite = nn.Conv2d(inner, channels, 1, bias=False)
        for layer in (self.squeeze, self.excite):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, feature_map: Tensor) -> Tensor:
        with without_autocast(feature_map):
            x = float32_or_more(feature_map)
            variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
            gate = torch.sigmoid(self.excite(F.relu(self.squeeze(mean))))
            scale = (1 - gate) * torch.rsqrt(variance + EPS)
            return torch.addcmul(-scale * mean, gate + scale, x).to(feature_map.dtype)


@INSERTS.register
class ModalityAlleviation:
    """Insert `ModalityAlleviationBlock` after the last `count` blocks of a stage.

    Args:
        count: Number of blocks of the stage that are followed by one.
        reduction: The inner layer of the gate has C / reduction channels, at least one.

    Raises:
        ValueError: If an argument is below 1.

    Source:
        MPANet as released has one after stage 3 and one after stage 4 of ResNet-50 (`modality_attention: 2`).

    Example:
        >>> insert = ModalityAlleviation(count=1, reduction=2)
        >>> insert.build(channels=4)(torch.rand(2, 4, 6, 3)).shape
        torch.Size([2, 4, 6, 3])
    """

    def __init__(self, *, count: int = 1, reduction: int = 16) -> None:
        if count < 1 or reduction < 1:
            raise ValueError(f"count and reduction must be at least 1, got {count} and {reduction}")
        self.count, self.reduction = count, reduction

    def build(self, channels: int) -> ModalityAlleviationBlock:
        """Build one block for maps of this number of channels."""
        return ModalityAlleviationBlock(channels, reduction=self.reduction)
