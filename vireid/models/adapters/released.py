"""Released form of PAE (public code of PAENet), for parity. The form of the paper is in `progressive`."""

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
    """Emb1 of the released code: channels as tokens of width 1, pre-norm, residual from the normalized input.

    u = LayerNorm(rows), a = SwitchNorm(attributes), e = u + attention(u, a), result e + MLP(LayerNorm(e)).

    Shape:
        rows (R, C), attributes (R, A) -> (R, C).
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
    """Emb3 of the released code: one L2-normalized gate of two layers for all attributes.

    With b = ReLU(U attributes) the gate is g = sigmoid(V2 ReLU(V1 [rows, b])); the result is g / |g|.

    Shape:
        rows (R, C), attributes (R, A) -> (R, C) > 0.
    """

    def __init__(self, channels: int, num_attributes: int) -> None:
        super().__init__()
        self.embed = nn.Linear(num_attributes, channels, bias=False)
        self.fc1, self.fc2 = nn.Linear(2 * channels, channels), nn.Linear(channels, channels)

    def gate(self, rows: Tensor, attributes: Tensor) -> Tensor:
        """Compute the gate g before its L2 normalization."""
        embedded = F.relu(self.embed(attributes))
        return self.fc2(F.relu(self.fc1(torch.cat([rows.to(embedded.dtype), embedded], dim=-1)))).sigmoid()

    def forward(self, rows: Tensor, attributes: Tensor) -> Tensor:
        gate = self.gate(rows, attributes)
        return gate / torch.linalg.vector_norm(gate, dim=-1, keepdim=True)


class ReleasedRegion(nn.Module):
    """Identity branch of the released code: sigmoid(map * sigmoid(BN(score))).

    Shape:
        feature_map, score (R, C, H, W) -> (R, C, H, W), in [1/2, 1) where the map is >= 0.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.bn.bias.requires_grad_(False)

    def forward(self, feature_map: Tensor, score: Tensor) -> Tensor:
        return (feature_map * self.bn(score).sigmoid()).sigmoid()


class ReleasedFusion(nn.Module):
    """Fusion block that the released code computes for AAL and does not use; kept to compare its numbers.

    Not a part of `ReleasedPAE`.

    Shape:
        scores, features (R, A C) -> (R, C), BN(linear(features sigmoid(BN(scores)))).
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
    """Released form of progressive attribute embedding, for parity with the public code.

    The form of the paper is `ProgressiveAttributeEmbedding`.

    gate = Emb3(Emb1(neck(pooled))). The heads of the released code are `IdentityHead` and `AttributeClassifier` on
    attribute_feature; its pool is GeM with exponent 3.

    Args:
        dropout: Use the dropout of the released code (0.1 and 0.3).
        num_attributes: Number of attributes A.
        channels: Number of channels C of the feature map.

    Shape:
        pooled (R, C), feature_map (R, C, H, W), attributes (R, A) -> new map sigmoid(X sigmoid(BN(X gate))),
        (R, C, H, W), and attribute_feature (R, 1, C), the one gate that the released code copies for every attribute.

    Source:
        PAENet (ACM MM 2022), released code.

    Departs:
        Left out, because they have no effect on any output: Emb2, which reads a map of 1 x 1 and returns its input
        (8.4 M weights whose gradient is rounding), the fusion block and three more maps that are computed and not used
        (33.6 M weights), and the mean of eight copies of one map. Attributes are cast to the type of the weights, not
        to float32.

    Example:
        >>> adapter = ReleasedPAE(num_attributes=2, channels=4)
        >>> feature_map, fields = adapter(torch.randn(5, 4), torch.rand(5, 4, 6, 3), torch.rand(5, 2))
        >>> feature_map.shape, fields["attribute_feature"].shape
        (torch.Size([5, 4, 6, 3]), torch.Size([5, 1, 4]))
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
        """Conditions to report with every number of this model."""
        return {"attribute_embedding": "released code's form"}

    def forward(self, pooled: Tensor, feature_map: Tensor, attributes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        attributes = attributes.to(pooled.dtype)
        gate = self.gate(self.cross_encoder(self.neck(pooled), attributes), attributes)
        score = feature_map * gate[:, :, None, None].to(feature_map.dtype)
        return self.region(feature_map, score), {"attribute_feature": gate[:, None]}
