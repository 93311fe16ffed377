"""DDAG's head: the plain head, and a second descriptor that looks at the parts of the same person."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.registries import HEADS
from vireid.layers.norms import frozen_shift_neck
from vireid.models.heads.identity import IdentityHead


class PartAttention(nn.Module):
    """Parts of a map look at each other; their weighted sum is added to the global descriptor, then normalised.

    Shapes: feature_map (R, C, H, W), features_bn (R, C) -> (R, C). With Q the map averaged over each of `num_parts`
    horizontal bands (bands overlap where H is no multiple of them), A = softmax((Q W1 + b1)(Q W2)^T) over the last axis
    without scaling, r = sum_p softmax(gate)_p (A (Q W3 + b3))_p, the result is BN(r + features_bn).
    Source: DDAG (ECCV 2020), "intra-modality weighted-part aggregation", released code; 1 x 1 convolutions there are
    linear layers here. Departs: W2 has no bias; that of the release shifts each row of scores by one number, which the
    softmax takes away again.
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
    """`IdentityHead` and a part-attended descriptor that goes through the same classifier.

    Shapes: pooled (R, C), feature_map (R, C, H, W) -> features (R, C), the pooled vector itself; features_bn (R, C);
    features_att (R, C), see `PartAttention`; in training also logits and logits_att, both (R, I).
    Source: DDAG (ECCV 2020), released code (3 parts; retrieval by features_att). Departs: see `PartAttention`; unit
    length is the business of `CrossModalityNet.embed`.
    """

    provides: ClassVar[frozenset[str]] = IdentityHead.provides | {"features_att", "logits_att"}
    training_only: ClassVar[frozenset[str]] = IdentityHead.training_only | {"logits_att"}

    def __init__(self, *, num_parts: int = 3, num_ids: int, channels: int) -> None:
        super().__init__()
        if num_parts < 1:
            raise ValueError(f"num_parts must be at least 1, got {num_parts}")
        self.identity = IdentityHead(num_ids=num_ids, channels=channels)
        self.attention = PartAttention(channels, num_parts)
        self.dims = self.identity.dims | {"features_att": channels, "logits_att": num_ids}

    def forward(self, pooled: Tensor, feature_map: Tensor) -> dict[str, Tensor]:
        fields = self.identity(pooled)
        fields["features_att"] = self.attention(feature_map, fields["features_bn"])
        if self.training:
            fields["logits_att"] = self.identity.classifier(fields["features_att"])
        return fields
