"""The head of PAENet's public code, for parity with it. The paper's form is `progressive`."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.registries import ADAPTERS
from vireid.layers.attention import ChannelTokenAttention
from vireid.layers.norms import frozen_shift_neck
from vireid.layers.switch_norm import SwitchNorm


class ReleasedCrossEncoder(nn.Module):
    """Emb1 as released: channels as tokens of width 1, norms before, residual from the normalised input.

    Shapes: rows (R, C), attributes (R, A) -> (R, C). u = LayerNorm(rows), a = SwitchNorm(attributes),
    e = u + attention(u, a), result e + MLP(LayerNorm(e)).
    """

    def __init__(self, channels: int, num_attributes: int, *, dropout: bool = True) -> None:
        super().__init__()
        low, high = (0.1, 0.3) if dropout else (0.0, 0.0)
        self.x_norm1, self.c_norm1 = nn.LayerNorm(channels), SwitchNorm(num_attributes)
        self.attn = ChannelTokenAttention(channels, num_attributes, dropout=low)
        self.proj_drop, self.path_drop = nn.Dropout(low), nn.Dropout(high)
        self.x_norm2 = nn.LayerNorm(channels)
        self.fc1, self.fc2 = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.inner_drop, self.outer_drop, self.mlp_drop = nn.Dropout(high), nn.Dropout(high), nn.Dropout(low)

    def forward(self, rows: Tensor, attributes: Tensor) -> Tensor:
        u = self.x_norm1(rows)
        e = u + self.path_drop(self.proj_drop(self.attn(u, self.c_norm1(attributes))))
        inner = self.inner_drop(F.gelu(self.fc1(self.x_norm2(e))))
        return e + self.mlp_drop(self.outer_drop(self.fc2(inner)))


class ReleasedGate(nn.Module):
    """Emb3 as released: one gate of two layers for all attributes, at length 1.

    Shapes: rows (R, C), attributes (R, A) -> (R, C) > 0. With b = ReLU(U attributes) the gate is
    g = sigmoid(V2 ReLU(V1 [rows, b])); the result is g / |g|.
    """

    def __init__(self, channels: int, num_attributes: int) -> None:
        super().__init__()
        self.embed = nn.Linear(num_attributes, channels, bias=False)
        self.fc1, self.fc2 = nn.Linear(2 * channels, channels), nn.Linear(channels, channels)

    def gate(self, rows: Tensor, attributes: Tensor) -> Tensor:
        """g, before it is made 1 long."""
        embedded = F.relu(self.embed(attributes))
        return self.fc2(F.relu(self.fc1(torch.cat([rows.to(embedded.dtype), embedded], dim=-1)))).sigmoid()

    def forward(self, rows: Tensor, attributes: Tensor) -> Tensor:
        gate = self.gate(rows, attributes)
        return gate / torch.linalg.vector_norm(gate, dim=-1, keepdim=True)


class ReleasedRegion(nn.Module):
    """The identity branch as released: the map times a score map behind BN and sigmoid, and a sigmoid once more.

    Shapes: feature_map, score (R, C, H, W) -> (R, C, H, W) in [1/2, 1) where the map is >= 0.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.bn.bias.requires_grad_(False)

    def forward(self, feature_map: Tensor, score: Tensor) -> Tensor:
        return (feature_map * self.bn(score).sigmoid()).sigmoid()


class ReleasedFusion(nn.Module):
    """The block that the code computes for AAL and then does not use, kept so that its numbers can be compared.

    Shapes: scores, features (R, A C) -> (R, C): BN(linear(features sigmoid(BN(scores)))). Not a part of `ReleasedPAE`.
    """

    def __init__(self, channels: int, num_attributes: int) -> None:
        super().__init__()
        self.bottl = nn.BatchNorm1d(num_attributes * channels)
        self.fc1 = nn.Linear(num_attributes * channels, channels)
        self.bottleneck = nn.BatchNorm1d(channels)

    def forward(self, scores: Tensor, features: Tensor) -> Tensor:
        return self.bottleneck(self.fc1(features * self.bottl(scores).sigmoid()))


@ADAPTERS.register
class ReleasedPAE(nn.Module):
    """PAENet's public code between backbone and neck, kept for parity; `ProgressiveAttributeEmbedding` is the paper's.

    Shapes: pooled (R, C), feature_map (R, C, H, W), attributes (R, A) -> the new map (R, C, H, W) and
    attribute_feature (R, 1, C), the one gate that the code copies for every attribute.
    gate = Emb3(Emb1(neck(pooled))); new map = sigmoid(X sigmoid(BN(X gate))). Its heads are `IdentityHead` and
    `AttributeClassifier` on attribute_feature; its pool is GeM with exponent 3.
    Departs from the code in what has no effect on any output: its Emb2 looks at a map of 1 x 1 and returns its input
    (8.4 M weights whose gradient is rounding), the fusion block and three more maps are computed and not used (33.6 M
    weights), eight copies of one map are averaged. Attributes follow the type of the weights instead of float32.
    `dropout` false switches off the code's dropout (0.1 and 0.3).
    """

    provides: ClassVar[frozenset[str]] = frozenset({"attribute_feature"})

    def __init__(self, *, dropout: bool = True, num_attributes: int, channels: int) -> None:
        super().__init__()
        self.dims = {"attribute_feature": channels}
        self.neck = frozen_shift_neck(channels)
        self.cross_encoder = ReleasedCrossEncoder(channels, num_attributes, dropout=dropout)
        self.gate = ReleasedGate(channels, num_attributes)
        self.region = ReleasedRegion(channels)

    @property
    def conditions(self) -> dict[str, str]:
        """What a number must be printed with."""
        return {"attribute_embedding": "released code's form"}

    def forward(self, pooled: Tensor, feature_map: Tensor, attributes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        attributes = attributes.to(pooled.dtype)
        gate = self.gate(self.cross_encoder(self.neck(pooled), attributes), attributes)
        score = feature_map * gate[:, :, None, None].to(feature_map.dtype)
        return self.region(feature_map, score), {"attribute_feature": gate[:, None]}
