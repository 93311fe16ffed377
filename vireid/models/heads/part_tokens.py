"""Part token head (SAAI): soft part masks from learned tokens and positions, and a BN neck for each modality."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import HEADS
from vireid.layers.norms import ModalityNeck
from vireid.layers.parts import masked_means


@HEADS.register
class PartTokenHead(nn.Module):
    """Soft part masks from part tokens, part and pooled features in one embedding, a BN neck for each modality.

    The mask of part p at position n is sigmoid(token_p . (x_n + e_n)), with x the map and e a learned embedding of the
    position. It is computed as a 1 x 1 convolution by the tokens plus a bias map of the products token_p . e_n, so that
    nothing is added to the map. Part features are divided by the number of positions, as in `PatternHead`.

    Args:
        num_parts: Number of part tokens P.
        map_size: (H, W) of the position embedding. For maps of another size the bias map is resampled bilinearly.
        num_ids: Number of identities I.
        channels: Number of channels C of the feature map.

    Shape:
        feature_map (R, C, H, W), pooled (R, C), modality (R,) -> part_masks (R, P, H, W); features (R, (P + 1) C), the
        mean over positions of mask times map for each part, then the pooled features; features_bn, the same after the
        neck of the row's modality (`ModalityNeck`); in training also logits (R, I), without bias.

    Raises:
        ValueError: If an argument is below 1.

    Source:
        Fang et al., "Visible-Infrared Person Re-Identification via Semantic Alignment and Affinity Inference" (SAAI),
        ICCV 2023; released code: 7 tokens, images of 288 x 144.

    Departs:
        The released code fails for maps that are not 18 x 9 or do not have 2048 channels.

    Example:
        >>> head = PartTokenHead(num_parts=2, map_size=(6, 3), num_ids=5, channels=4)
        >>> fields = head(torch.rand(2, 4, 6, 3), torch.randn(2, 4), torch.tensor([0, 1]))
        >>> {name: tuple(value.shape) for name, value in fields.items()}
        {'part_masks': (2, 2, 6, 3), 'features': (2, 12), 'features_bn': (2, 12), 'logits': (2, 5)}
    """

    provides: ClassVar[frozenset[str]] = frozenset({"part_masks", "features", "features_bn", "logits"})
    training_only: ClassVar[frozenset[str]] = frozenset({"logits"})
    identity_tensors: ClassVar[frozenset[str]] = frozenset({"classifier.weight"})

    def __init__(self, *, num_parts: int = 7, map_size: tuple[int, int] = (18, 9), num_ids: int, channels: int) -> None:
        super().__init__()
        if num_parts < 1 or num_ids < 1 or channels < 1:
            raise ValueError(
                f"num_parts, num_ids and channels must be at least 1, got {num_parts}, {num_ids} and {channels}"
            )
        if len(map_size) != 2 or min(map_size) < 1:
            raise ArgumentError("map_size", f"must be height and width of a map, each at least 1, got {list(map_size)}")
        width = (num_parts + 1) * channels
        self.map_size = (map_size[0], map_size[1])
        self.dims = {"part_masks": num_parts, "features": width, "features_bn": width, "logits": num_ids}
        self.tokens = nn.Parameter(torch.empty(num_parts, channels))
        self.positions = nn.Parameter(torch.empty(map_size[0] * map_size[1], channels))  # row y * W + x
        for weight in (self.tokens, self.positions):
            nn.init.kaiming_normal_(weight)
        self.neck = ModalityNeck(width)
        self.classifier = nn.Linear(width, num_ids, bias=False)

    def forward(self, feature_map: Tensor, pooled: Tensor, modality: Tensor) -> dict[str, Tensor]:
        masks = self.masks(feature_map)
        features = torch.cat([masked_means(feature_map, masks).flatten(1), pooled], dim=1)
        features_bn = self.neck(features, modality)
        fields = {"part_masks": masks, "features": features, "features_bn": features_bn}
        if self.training:
            fields["logits"] = self.classifier(features_bn)
        return fields

    def masks(self, feature_map: Tensor) -> Tensor:
        """Part masks, (R, C, H, W) -> (R, P, H, W)."""
        bias = (self.tokens @ self.positions.T).unflatten(1, self.map_size).unsqueeze(0)
        size = feature_map.shape[2:]
        if tuple(size) != self.map_size:
            bias = F.interpolate(bias, size=size, mode="bilinear", align_corners=False)
        return torch.sigmoid(F.conv2d(feature_map, self.tokens[:, :, None, None]) + bias)
