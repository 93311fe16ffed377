"""Identity head: BN neck and identity classifier."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from vireid.core.registries import HEADS
from vireid.layers.init import classifier
from vireid.layers.norms import frozen_shift_neck


@HEADS.register
class IdentityHead(nn.Module):
    """BN neck and identity classifier without bias, on the pooled features.

    Args:
        plain_start: Start with scales 1 and torch's default weights of a linear layer, as MCJA. Otherwise scales are
            from N(1, 0.01) and weights from N(0, 0.001).
        num_ids: Number of identities I.
        channels: Number of channels C of the feature map.

    Shape:
        pooled (R, C) -> features (R, C), the pooled features; features_bn (R, C); in training also logits (R, I).

    Raises:
        ValueError: If an argument is below 1.

    Source:
        Luo et al., "Bag of Tricks and a Strong Baseline for Deep Person Re-identification", CVPRW 2019; global head of
        HCT, MMD-ReID and AGW as released.

    Departs:
        Embeddings are not L2-normalized here but in `CrossModalityNet.embed`.

    Example:
        >>> import torch
        >>> head = IdentityHead(num_ids=5, channels=4)
        >>> {name: tuple(value.shape) for name, value in head(torch.randn(2, 4)).items()}
        {'features': (2, 4), 'features_bn': (2, 4), 'logits': (2, 5)}
    """

    provides: ClassVar[frozenset[str]] = frozenset({"features", "features_bn", "logits"})
    training_only: ClassVar[frozenset[str]] = frozenset({"logits"})
    identity_tensors: ClassVar[frozenset[str]] = frozenset({"classifier.weight"})

    def __init__(self, *, plain_start: bool = False, num_ids: int, channels: int) -> None:
        super().__init__()
        if num_ids < 1 or channels < 1:
            raise ValueError(f"num_ids and channels must be at least 1, got {num_ids} and {channels}")
        self.dims = {"features": channels, "features_bn": channels, "logits": num_ids}
        self.neck = frozen_shift_neck(channels)
        self.classifier = classifier(channels, num_ids)
        if plain_start:
            nn.init.ones_(self.neck.weight)
            self.classifier.reset_parameters()

    def forward(self, pooled: Tensor) -> dict[str, Tensor]:
        features_bn = self.neck(pooled)
        fields = {"features": pooled, "features_bn": features_bn}
        if self.training:
            fields["logits"] = self.classifier(features_bn)
        return fields
