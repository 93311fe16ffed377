"""The plain head: BN neck and identity classifier."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from vireid.core.registries import HEADS
from vireid.layers.init import classifier
from vireid.layers.norms import frozen_shift_neck


@HEADS.register
class IdentityHead(nn.Module):
    """Pooled vector -> BN neck -> identity scores without bias.

    Shapes: pooled (R, C) -> features (R, C), the pooled vector itself; features_bn (R, C); in training also
    logits (R, I).
    Source: the global head of HCT, MMD-ReID and AGW as released. Departs: descriptors are returned as they are; unit
    length is the business of `CrossModalityNet.embed`.
    """

    provides: ClassVar[frozenset[str]] = frozenset({"features", "features_bn", "logits"})
    training_only: ClassVar[frozenset[str]] = frozenset({"logits"})

    def __init__(self, *, num_ids: int, channels: int) -> None:
        super().__init__()
        if num_ids < 1 or channels < 1:
            raise ValueError(f"num_ids and channels must be at least 1, got {num_ids} and {channels}")
        self.dims = {"features": channels, "features_bn": channels, "logits": num_ids}
        self.neck = frozen_shift_neck(channels)
        self.classifier = classifier(channels, num_ids)

    def forward(self, pooled: Tensor) -> dict[str, Tensor]:
        features_bn = self.neck(pooled)
        fields = {"features": pooled, "features_bn": features_bn}
        if self.training:
            fields["logits"] = self.classifier(features_bn)
        return fields
