"""Embedding that joins the features before and after the BN neck with weights."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import HEADS
from vireid.layers.norms import l2_normalize


@HEADS.register
class JoinedEmbedding(nn.Module):
    """Concatenate two L2-normalized embeddings so that their cosine similarities are averaged with given weights.

    The similarity of two joined embeddings is (1 - share_bn) cos(features) + share_bn cos(features_bn). Set
    MODEL.EMBEDDING to [features_joined]; with [features, features_bn] both similarities have the weight 1/2. It has no
    parameters.

    Args:
        share_bn: Weight of the similarity of the features after the BN neck, 0 .. 1.
        feature_dim: Width D of the features.

    Shape:
        features (R, D), features_bn (R, D) -> features_joined (R, 2 D), L2-normalized

    Raises:
        ArgumentError: If `share_bn` is not in 0 .. 1.

    Source:
        Fused score of the test scripts of RLE (NeurIPS 2024) and DEEN (CVPR 2023) as released.

    Example:
        >>> head = JoinedEmbedding(share_bn=0.2, feature_dim=2)
        >>> rows = head(torch.eye(2), torch.tensor([[2.0, 0.0], [1.0, 0.0]]))["features_joined"]
        >>> rows @ rows.T
        tensor([[1.0000, 0.2000],
                [0.2000, 1.0000]])
    """

    provides: ClassVar[frozenset[str]] = frozenset({"features_joined"})

    def __init__(self, *, share_bn: float = 0.2, feature_dim: int) -> None:
        super().__init__()
        if not 0 <= share_bn <= 1:
            raise ArgumentError("share_bn", f"must be in 0 .. 1, got {share_bn}")
        self.share_bn = share_bn
        self.conditions = {"share_of_features_bn": f"{share_bn:g}"}
        self.dims = {"features_joined": 2 * feature_dim}

    def forward(self, features: Tensor, features_bn: Tensor) -> dict[str, Tensor]:
        scale, scale_bn = math.sqrt(1 - self.share_bn), math.sqrt(self.share_bn)
        joined = torch.cat([scale * l2_normalize(features), scale_bn * l2_normalize(features_bn)], dim=1)
        return {"features_joined": joined}
