"""Cross-modality graph attention (DDAG): classify rows after they attended to rows of the same identity."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import LOSSES
from vireid.layers.graph import GraphAttention
from vireid.layers.pairwise import groups


@LOSSES.register
class CrossModalityGraph(nn.Module):
    """Cross-modality graph attention loss: identity loss after two graph attention layers over rows of equal identity.

    The neighbors of a row are the rows of its identity in both modalities, the row itself included. The layers belong
    to the loss: the branch does not exist at test time, where labels are unknown. Dropout is applied to the features,
    to the concatenated heads and to every attention weight.

    Args:
        num_heads: Number of graph attention heads of the first layer.
        width: Width of each head.
        dropout: Dropout probability.
        slope: Negative slope of the LeakyReLU of the attention logits.
        num_ids: Number of identities I.
        feature_dim: Width D of the features.

    Shape:
        features (R, D), labels (R,) -> scalar. `num_heads` layers D -> `width`, ELU, concatenation, one layer to I,
        ELU, log-softmax, negative log-likelihood.

    Source:
        Ye et al., "Dynamic Dual-Attentive Aggregation Learning for Visible-Infrared Person Re-Identification" (DDAG),
        ECCV 2020, cross-modality graph-structured attention; released code: 4 heads of 512, dropout 0.2, slope 0.2.

    Departs:
        Neighbors are computed from the labels on the device. The released code builds a normalized adjacency matrix,
        of which only the positive entries matter.

    Example:
        >>> import torch
        >>> loss = CrossModalityGraph(num_heads=2, width=3, num_ids=2, feature_dim=4)
        >>> _ = nn.init.zeros_(loss.out.weight)  # equal logits: log 2
        >>> round(loss(torch.eye(4), labels=torch.tensor([0, 0, 1, 1])).item(), 4)
        0.6931
    """

    identity_tensors: ClassVar[frozenset[str]] = frozenset({"out.weight", "out.source", "out.target"})

    def __init__(
        self,
        *,
        num_heads: int = 4,
        width: int = 512,
        dropout: float = 0.2,
        slope: float = 0.2,
        num_ids: int,
        feature_dim: int,
    ) -> None:
        super().__init__()
        if num_heads < 1 or width < 1:
            raise ValueError(f"num_heads and width must be at least 1, got {num_heads} and {width}")
        if not 0 <= dropout < 1:
            raise ArgumentError("dropout", f"must be in [0, 1), got {dropout}")
        if slope < 0:
            raise ArgumentError("slope", f"must be at least 0, got {slope}")
        self.dropout = nn.Dropout(dropout)
        self.heads = GraphAttention(feature_dim, width, heads=num_heads, dropout=dropout, slope=slope)
        self.out = GraphAttention(num_heads * width, num_ids, dropout=dropout, slope=slope)

    def scores(self, features: Tensor, labels: Tensor) -> Tensor:
        """Logits of the second layer, (R, D), (R,) -> (R, I)."""
        adjacent = groups(labels).same
        joined = F.elu(self.heads(self.dropout(features), adjacent)).flatten(1)
        return F.elu(self.out(self.dropout(joined), adjacent).squeeze(1))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(self.scores(features, labels), labels)
