"""Part attention head (DDAG): identity head and a second embedding from attention between body parts."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import HEADS
from vireid.layers.norms import frozen_shift_neck
from vireid.models.heads.identity import IdentityHead


class PartAttention(nn.Module):
    """Self-attention between horizontal parts of a feature map, added to the global embedding.

    Q is the map averaged over each of `num_parts` horizontal bands (bands overlap if H is not a multiple of their
    number). A = softmax((Q W1 + b1)(Q W2)^T) over the last axis, without scaling, and r = sum_p softmax(gate)_p (A (Q
    W3 + b3))_p.

    Args:
        channels: Number of channels C.
        num_parts: Number of bands.

    Shape:
        feature_map (R, C, H, W), features_bn (R, C) -> (R, C), BN(r + features_bn).

    Source:
        Ye et al., "Dynamic Dual-Attentive Aggregation Learning for Visible-Infrared Person Re-Identification" (DDAG),
        ECCV 2020, intra-modality weighted-part aggregation; released code, whose 1 x 1 convolutions are linear layers
        here.

    Departs:
        W2 has no bias. The bias of the released code adds a constant to each row of scores, which softmax ignores.
    """

    def __init__(self, channels: int, num_parts: int) -> None:
        super().__init__()
        self.num_parts = num_parts
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels)
        self.gate = nn.Parameter(torch.full((num_parts,), 1 / num_parts))
        self.neck = frozen_shift_neck(channels)

    def forward(self, feature_map: Tensor, features_bn: Tensor) -> Tensor:
        parts = F.adaptive_avg_pool2d(feature_map, (self.num_parts, 1)).flatten(2).transpose(1, 2)
        scores = self.query(parts) @ self.key(parts).transpose(1, 2)
        refined = scores.softmax(dim=-1) @ self.value(parts)
        return self.neck(self.gate.softmax(dim=0) @ refined + features_bn)


@HEADS.register
class PartAttentionHead(nn.Module):
    """`IdentityHead` with a second, part-attended embedding that shares its classifier.

    Args:
        num_parts: Number of horizontal bands.
        num_ids: Number of identities I.
        channels: Number of channels C of the feature map.

    Shape:
        pooled (R, C), feature_map (R, C, H, W) -> features (R, C), the pooled features; features_bn (R, C);
        features_att (R, C), see `PartAttention`; in training also logits and logits_att (R, I).

    Raises:
        ValueError: If an argument is below 1.

    Source:
        DDAG (ECCV 2020), released code: 3 parts, retrieval by features_att.

    Departs:
        See `PartAttention`. Embeddings are not L2-normalized here but in `CrossModalityNet.embed`.

    Example:
        >>> head = PartAttentionHead(num_parts=3, num_ids=5, channels=4)
        >>> fields = head(torch.randn(2, 4), torch.rand(2, 4, 6, 3))
        >>> {name: tuple(value.shape) for name, value in fields.items()}
        {'features': (2, 4), 'features_bn': (2, 4), 'logits': (2, 5), 'features_att': (2, 4), 'logits_att': (2, 5)}
    """

    provides: ClassVar[frozenset[str]] = IdentityHead.provides | {"features_att", "logits_att"}
    training_only: ClassVar[frozenset[str]] = IdentityHead.training_only | {"logits_att"}

    def __init__(self, *, num_parts: int = 3, num_ids: int, channels: int) -> None:
        super().__init__()
        if num_parts < 1:
            raise ArgumentError("num_parts", f"must be at least 1, got {num_parts}")
        self.identity = IdentityHead(num_ids=num_ids, channels=channels)
        self.attention = PartAttention(channels, num_parts)
        self.dims = self.identity.dims | {"features_att": channels, "logits_att": num_ids}

    def forward(self, pooled: Tensor, feature_map: Tensor) -> dict[str, Tensor]:
        fields = self.identity(pooled)
        fields["features_att"] = self.attention(feature_map, fields["features_bn"])
        if self.training:
            fields["logits_att"] = self.identity.classifier(fields["features_att"])
        return fields
