"""Pattern head (MPANet): soft part masks, the part features and the pooled features in one embedding."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vireid.core.registries import HEADS
from vireid.layers.norms import frozen_shift_neck
from vireid.layers.parts import masked_means


@HEADS.register
class PatternHead(nn.Module):
    """Soft part masks, one embedding of all part features and the pooled features, BN neck and classifier.

    Part features are divided by the number of positions, not by the area of the mask: with `AveragePool` a mask of
    ones gives the pooled features. All masks are applied in one matrix product.

    Args:
        num_parts: Number of masks P.
        num_ids: Number of identities I.
        channels: Number of channels C of the feature map.

    Shape:
        feature_map (R, C, H, W), pooled (R, C) -> part_masks (R, P, H, W), sigmoids of a 1 x 1 convolution; features
        (R, (P + 1) C), the mean over positions of mask times map for each part, then the pooled features; features_bn,
        the same after a BN neck; in training also logits (R, I), without bias.

    Raises:
        ValueError: If an argument is below 1.

    Source:
        Wu et al., "Discover Cross-Modality Nuances for Visible-Infrared Person Re-Identification" (MPANet), CVPR 2021,
        pattern alignment; released code (`num_parts=6`).

    Departs:
        Not in any number.

    Example:
        >>> head = PatternHead(num_parts=2, num_ids=5, channels=4)
        >>> fields = head(torch.rand(2, 4, 6, 3), torch.randn(2, 4))
        >>> {name: tuple(value.shape) for name, value in fields.items()}
        {'part_masks': (2, 2, 6, 3), 'features': (2, 12), 'features_bn': (2, 12), 'logits': (2, 5)}
    """

    provides: ClassVar[frozenset[str]] = frozenset({"part_masks", "features", "features_bn", "logits"})
    training_only: ClassVar[frozenset[str]] = frozenset({"logits"})
    identity_tensors: ClassVar[frozenset[str]] = frozenset({"classifier.weight"})

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
        nn.init.ones_(self.neck.weight)  # 1 as in this released code; the others draw it at random
        self.classifier = nn.Linear(width, num_ids, bias=False)

    def forward(self, feature_map: Tensor, pooled: Tensor) -> dict[str, Tensor]:
        masks = torch.sigmoid(self.masks(feature_map))
        features = torch.cat([masked_means(feature_map, masks).flatten(1), pooled], dim=1)
        features_bn = self.neck(features)
        fields = {"part_masks": masks, "features": features, "features_bn": features_bn}
        if self.training:
            fields["logits"] = self.classifier(features_bn)
        return fields
