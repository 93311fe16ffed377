"""Head of jigsaw patches (TransReID): BN necks and identity classifiers of the global feature and of each part."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import HEADS
from vireid.layers.init import classifier


@HEADS.register
class JigsawHead(nn.Module):
    """BN neck and identity classifier for the global feature and for each group of jigsaw patches.

    The backbone provides the parts (`TwoStreamViT` with `jigsaw_parts`). Retrieval uses the global feature and the
    parts divided by their number, concatenated before any normalization. Metric losses read `pooled` and
    `part_features`.

    Args:
        num_parts: Number of parts P, the `jigsaw_parts` of the backbone.
        num_ids: Number of identities I.
        channels: Number of channels C of the feature map.

    Shape:
        pooled (R, C), part_features (R, P, C) -> features (R, (1 + P) C); in training also logits (R, I) and
        part_logits (R, P, I).

    Raises:
        ValueError: If an argument is below 1, or `part_features` has another number of parts.

    Source:
        He et al., "TransReID: Transformer-based Object Re-Identification", ICCV 2021; released code: five necks with
        frozen shift, five classifiers without bias, retrieval by the features before the necks.

    Departs:
        Not in any number. The necks and classifiers of the parts run as one product.

    Example:
        >>> head = JigsawHead(num_parts=2, num_ids=5, channels=4)
        >>> fields = head(torch.randn(3, 4), torch.randn(3, 2, 4))
        >>> {name: tuple(value.shape) for name, value in fields.items()}
        {'features': (3, 12), 'logits': (3, 5), 'part_logits': (3, 2, 5)}
    """

    provides: ClassVar[frozenset[str]] = frozenset({"features", "logits", "part_logits"})
    training_only: ClassVar[frozenset[str]] = frozenset({"logits", "part_logits"})
    identity_tensors: ClassVar[frozenset[str]] = frozenset({"classifier.weight", "part_classifiers"})
    example: ClassVar[dict] = {"num_parts": 3}

    def __init__(self, *, num_parts: int = 4, num_ids: int, channels: int) -> None:
        super().__init__()
        if min(num_parts, num_ids, channels) < 1:
            raise ValueError(
                f"num_parts, num_ids and channels must be at least 1, got {num_parts}, {num_ids} and {channels}"
            )
        self.num_parts = num_parts
        self.dims = {"features": (1 + num_parts) * channels, "logits": num_ids, "part_logits": num_ids}
        self.neck, self.part_necks = nn.BatchNorm1d(channels), nn.BatchNorm1d(num_parts * channels)
        for neck in (self.neck, self.part_necks):
            neck.bias.requires_grad_(False)
        self.classifier = classifier(channels, num_ids)
        weights = [classifier(channels, num_ids).weight.detach() for _ in range(num_parts)]
        self.part_classifiers = nn.Parameter(torch.stack(weights))

    def forward(self, pooled: Tensor, part_features: Tensor) -> dict[str, Tensor]:
        parts = part_features.shape[1]
        if parts != self.num_parts:
            text = f"is {self.num_parts}, and the backbone provides {parts} parts; set NUM_PARTS to its JIGSAW_PARTS"
            raise ArgumentError("num_parts", text)
        fields = {"features": torch.cat([pooled, part_features.flatten(1) / parts], dim=1)}
        if self.training:
            fields["logits"] = self.classifier(self.neck(pooled))
            normalized = self.part_necks(part_features.flatten(1)).unflatten(1, (parts, -1))
            fields["part_logits"] = torch.einsum("rpc,pic->rpi", normalized, self.part_classifiers)
        return fields
