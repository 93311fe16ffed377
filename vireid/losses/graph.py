"""Classification of a person after its row has seen the others of the same person, in both modalities."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.registries import LOSSES
from vireid.layers.graph import GraphAttention
from vireid.layers.pairwise import groups


@LOSSES.register
class CrossModalityGraph(nn.Module):
    """Identity loss on rows that were mixed with the other rows of their identity by two graph attention layers.

    Shapes: features (R, D), labels (R,) -> scalar. `num_heads` layers D -> `width`, ELU, side by side, then one layer
    to the identities, ELU, log-softmax, negative log-likelihood. Neighbours of a row are the rows of its identity in
    both modalities, itself among them. Owns its layers: the branch is gone at test time, where labels are unknown.
    Dropout falls on the features, on the joined heads and on every attention weight.
    Source: DDAG (ECCV 2020), cross-modality graph-structured attention, released code (4 heads of 512, dropout 0.2,
    slope 0.2). Departs: neighbours are read from the labels on the device instead of a normalised adjacency matrix, of
    which only the positive entries count.
    """

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
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        if slope < 0:
            raise ValueError(f"slope must be at least 0, got {slope}")
        self.dropout = nn.Dropout(dropout)
        self.heads = GraphAttention(feature_dim, width, heads=num_heads, dropout=dropout, slope=slope)
        self.out = GraphAttention(num_heads * width, num_ids, dropout=dropout, slope=slope)

    def scores(self, features: Tensor, labels: Tensor) -> Tensor:
        """(R, D), (R,) -> (R, I): what the log-softmax is taken of."""
        adjacent = groups(labels).same
        joined = F.elu(self.heads(self.dropout(features), adjacent)).flatten(1)
        return F.elu(self.out(self.dropout(joined), adjacent).squeeze(1))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(self.scores(features, labels), labels)
