"""Part baseline with a global branch: horizontal parts and the whole map, each with BN neck and classifier."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError, ConfigError
from vireid.core.registries import HEADS
from vireid.layers.init import classifier
from vireid.layers.norms import frozen_shift_neck
from vireid.layers.parts import PartLinear


@HEADS.register
class GlobalPartHead(nn.Module):
    """Horizontal parts and the whole map, each with BN neck and identity classifier; nothing is projected.

    Parts are means of the map. All parts but the last have ceil(H / P) rows of it; the last one has the rest. The whole
    map is pooled by MODEL.POOL. The necks are one batch normalization over the concatenated features, which computes
    the same as one neck for each.

    Args:
        num_parts: Number of parts P.
        num_ids: Number of identities I.
        channels: Number of channels C of the feature map.

    Shape:
        feature_map (R, C, H, W), pooled (R, C) -> features (R, (P + 1) C), the parts and then the whole, concatenated;
        features_bn (R, (P + 1) C); part_features (R, P, C); in training also part_logits (R, P, I) and logits (R, I) of
        the whole.

    Raises:
        ArgumentError: If an argument is below 1.
        ConfigError: In the first batch, if the map has too few rows for the last part.

    Source:
        Part baseline of RLE (NeurIPS 2024), released code, after PCB (Sun et al., ECCV 2018): classifiers without bias
        from N(0, 0.001), necks without shift.

    Departs:
        Not in any number.

    Example:
        >>> head = GlobalPartHead(num_parts=3, num_ids=5, channels=4)
        >>> out = head(torch.rand(2, 4, 8, 3), torch.rand(2, 4))
        >>> {name: tuple(value.shape) for name, value in out.items() if name != "features_bn"}
        {'features': (2, 16), 'part_features': (2, 3, 4), 'part_logits': (2, 3, 5), 'logits': (2, 5)}
    """

    provides: ClassVar[frozenset[str]] = frozenset(
        {"features", "features_bn", "part_features", "part_logits", "logits"}
    )
    training_only: ClassVar[frozenset[str]] = frozenset({"part_logits", "logits"})
    identity_tensors: ClassVar[frozenset[str]] = frozenset({"classifier.weight", "part_classifier.weight"})

    def __init__(self, *, num_parts: int = 3, num_ids: int, channels: int) -> None:
        super().__init__()
        for name, value in {"num_parts": num_parts, "num_ids": num_ids, "channels": channels}.items():
            if value < 1:
                raise ArgumentError(name, f"must be at least 1, got {value}")
        self.num_parts, width = num_parts, (num_parts + 1) * channels
        self.dims = {"features": width, "features_bn": width, "part_features": channels}
        self.dims |= {"part_logits": num_ids, "logits": num_ids}
        self.neck = frozen_shift_neck(width)
        self.part_classifier = PartLinear(num_parts, channels, num_ids, bias=False)
        self.classifier = classifier(channels, num_ids)
        nn.init.normal_(self.part_classifier.weight, 0.0, 0.001)

    def forward(self, feature_map: Tensor, pooled: Tensor) -> dict[str, Tensor]:
        parts = self._parts(feature_map)
        features = torch.cat([parts.flatten(1), pooled], dim=1)
        features_bn = self.neck(features)
        fields = {"features": features, "features_bn": features_bn, "part_features": parts}
        if self.training:
            necks = features_bn.unflatten(1, (self.num_parts + 1, -1))
            fields["part_logits"] = self.part_classifier(necks[:, :-1])
            fields["logits"] = self.classifier(necks[:, -1])
        return fields

    def _parts(self, feature_map: Tensor) -> Tensor:
        """Mean of each part, (R, C, H, W) -> (R, P, C)."""
        height = feature_map.shape[2]
        rows = -(-height // self.num_parts)
        if height <= rows * (self.num_parts - 1):
            raise ConfigError(
                [
                    f"GlobalPartHead: a map of height {height} cannot be cut into {self.num_parts} parts of {rows} rows"
                    " and a rest; change NUM_PARTS, or SIZE so that the map (the images / 16) is higher"
                ]
            )
        parts = [feature_map[:, :, top : top + rows] for top in range(0, height, rows)]
        return torch.stack([part.mean(dim=(2, 3)) for part in parts], dim=1)
