"""MPANet's head: learned soft masks instead of stripes, all parts and the whole as one descriptor."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vireid.core.registries import HEADS
from vireid.layers.norms import frozen_shift_neck


@HEADS.register
class PatternHead(nn.Module):
    """`num_parts` soft masks over the map; what each of them sees, then the pooled vector, side by side; neck; scores.

    Shapes: feature_map (R, C, H, W), pooled (R, C) -> part_masks (R, P, H, W), sigmoids of a 1 x 1 convolution;
    features (R, (P + 1) C), the mean over positions of mask times map for each part, the pooled vector last;
    features_bn the same behind a BN neck; in training also logits (R, I) without bias.
    Parts are divided by the number of positions, not by what the mask covers; with `AveragePool` a mask of ones would
    give the pooled vector. All masks go over the map in one product.
    Source: pattern alignment of MPANet (CVPR 2021), released code (`num_parts: 6`); no departure.
    """

    provides: ClassVar[frozenset[str]] = frozenset({"part_masks", "features", "features_bn", "logits"})
    training_only: ClassVar[frozenset[str]] = frozenset({"logits"})

    def __init__(self, *, num_parts: int = 6, num_ids: int, channels: int) -> None:
        super().__init__()
        if num_parts < 1 or num_ids < 1 or channels < 1:
            raise ValueError(
                f"num_parts, num_ids and channels must be at least 1, got {num_parts}, {num_ids} and {channels}"
            )
        width = (num_parts + 1) * channels
        self.dims = {"part_masks": num_parts, "features": width, "features_bn": width, "logits": num_ids}
        self.masks = nn.Conv2d(channels, num_parts, 1)
        nn.init.zeros_(self.masks.bias)  # type: ignore[arg-type]
        self.neck = frozen_shift_neck(width)
        nn.init.ones_(self.neck.weight)  # the other releases draw it
        self.classifier = nn.Linear(width, num_ids, bias=False)

    def forward(self, feature_map: Tensor, pooled: Tensor) -> dict[str, Tensor]:
        masks = torch.sigmoid(self.masks(feature_map))
        places, rows = feature_map.flatten(2), masks.flatten(2)
        parts = torch.bmm(rows, places.transpose(1, 2)) / places.shape[2]
        features = torch.cat([parts.flatten(1), pooled], dim=1)
        features_bn = self.neck(features)
        fields = {"part_masks": masks, "features": features, "features_bn": features_bn}
        if self.training:
            fields["logits"] = self.classifier(features_bn)
        return fields
