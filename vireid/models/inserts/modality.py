"""MPANet's insert: channels that carry the modality are normalised away, the others stay as they are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.registries import INSERTS
from vireid.layers.precision import float32_or_more, without_autocast

EPS = 1e-5  # under the root of the deviation, as in instance normalisation


class ModalityAlleviationBlock(nn.Module):
    """Each channel between itself and its instance-normalised form, as a gate that looks at the image decides.

    Shapes: (R, C, H, W) -> (R, C, H, W): m x + (1 - m) IN(x) with m = sigmoid(W2 relu(W1 mean(x))), one number for each
    channel of each image; IN has no parameters and takes the statistics of the image, in training and evaluation alike.
    For one image and channel both parts are straight lines in x, so that the whole is scale x + shift: one pass over
    the map, whose mean serves the gate too. Statistics and result are computed in float32 or more; the result has the
    map's own precision.
    Source: modality alleviation module of MPANet (CVPR 2021), released code; no departure.
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
            normalised = (1 - gate) * torch.rsqrt(variance + EPS)
            return torch.addcmul(-normalised * mean, gate + normalised, x).to(feature_map.dtype)


@INSERTS.register
class ModalityAlleviation:
    """Modality alleviation behind the last `count` blocks of a stage; see `ModalityAlleviationBlock`.

    `reduction`: the gate's inner layer has C / reduction channels, at least one.
    Source: MPANet as released has one behind stage 3 and one behind stage 4 of ResNet-50 (`modality_attention: 2`).
    """

    def __init__(self, *, count: int = 1, reduction: int = 16) -> None:
        if count < 1 or reduction < 1:
            raise ValueError(f"count and reduction must be at least 1, got {count} and {reduction}")
        self.count, self.reduction = count, reduction

    def build(self, channels: int) -> ModalityAlleviationBlock:
        """One block for maps of that many channels."""
        return ModalityAlleviationBlock(channels, reduction=self.reduction)
