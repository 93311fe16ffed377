"""Stages of progressive attribute embedding: Emb1 (cross-attention), Emb2 (spatial attention), Emb3 (channel gates).

A stage maps tokens, feature map and attributes to new tokens. Each stage has its projection of the attributes, so that
any stage can be left out.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import STAGES
from vireid.layers.attention import ChannelTokenAttention, TokenAttention, attention_over_positions
from vireid.layers.parts import PartLinear


@STAGES.register
class CrossAttentionStage(nn.Module):
    """Emb1: cross-attention. Query: image token; keys and values: image and attribute tokens.

    f_a = linear(attributes), Q = W_q f, keys and values from {f, f_a}; f_ca = Norm(attention + Q), z = Norm(f_ca + f),
    result Norm(z + FFN(z)). Norm is LayerNorm, FFN linear - GELU - linear.

    Args:
        token: "vector" (paper): one token for the image and one for the attributes. "channel" (released code): each
            channel is a token of width 1 (`layers.attention.ChannelTokenAttention`), in the same chain of norms, with Q
            = f.
        heads: Number of attention heads.
        width: Width of the FFN; None: C.
        dropout: Dropout probability of attention and FFN.
        num_attributes: Number of attributes A.
        channels: Number of channels C of the feature map.

    Shape:
        tokens (R, T, C), feature_map (unused), attributes (R, A) -> (R, T, C).

    Raises:
        ValueError: If `width` is below 1, or `heads` does not fit the tokens.

    Source:
        PAENet (ACM MM 2022), equations 3 and 4.

    Departs:
        The paper does not state the number of heads (1 here), dropout and the form of the FFN.

    Example:
        >>> stage = CrossAttentionStage(num_attributes=2, channels=4)
        >>> stage(torch.randn(5, 1, 4), torch.rand(5, 4, 6, 3), torch.rand(5, 2)).shape
        torch.Size([5, 1, 4])
    """

    def __init__(
        self,
        *,
        token: Literal["vector", "channel"] = "vector",
        heads: int = 1,
        width: int | None = None,
        dropout: float = 0.0,
        num_attributes: int,
        channels: int,
    ) -> None:
        super().__init__()
        width = _checked(width) or channels
        if token == "channel" and heads != 1:
            raise ArgumentError(
                "heads", f"must be 1 with token 'channel', whose tokens are single numbers; got {heads}"
            )
        kind = {"vector": _VectorTokens, "channel": _ChannelTokens}[token]
        self.attend = kind(channels, num_attributes, heads)
        self.norm_attended, self.norm_image, self.norm_out = (nn.LayerNorm(channels) for _ in range(3))
        self.ffn = nn.Sequential(nn.Linear(channels, width), nn.GELU(), nn.Linear(width, channels))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, feature_map: Tensor, attributes: Tensor) -> Tensor:
        query, attended = self.attend(tokens, attributes)
        attended = self.norm_attended(self.dropout(attended) + query)
        joined = self.norm_image(attended + tokens)
        return self.norm_out(joined + self.dropout(self.ffn(joined)))


class _VectorTokens(nn.Module):
    """Attention over image and attribute tokens: (R, T, C), (R, A) -> query and result, both (R, T, C)."""

    def __init__(self, channels: int, num_attributes: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Linear(num_attributes, channels)
        self.attention = TokenAttention(channels, heads)

    def forward(self, tokens: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        embedded = self.embed(attributes)[:, None].to(tokens.dtype)
        return self.attention(tokens, torch.cat([tokens, embedded], dim=1))


class _ChannelTokens(nn.Module):
    """The same with the channels of each token and the attributes as tokens of width 1."""

    def __init__(self, channels: int, num_attributes: int, heads: int) -> None:
        super().__init__()
        self.attention = ChannelTokenAttention(channels, num_attributes)

    def forward(self, tokens: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        rows = tokens.flatten(0, 1)
        extra = attributes.repeat_interleave(tokens.shape[1], dim=0)
        return tokens, self.attention(rows, extra).view_as(tokens)


@STAGES.register
class SpatialAttentionStage(nn.Module):
    """Emb2: spatial attention for each channel, guided by attributes.

    G = map * token (the token at every position), scores = tanh(conv(tanh(conv G) * tanh(linear(attributes)))) with 1
    x 1 convolutions C -> `width` -> C; softmax over positions for each channel; result: sum over positions of G *
    softmax.

    Args:
        width: Inner width; None: C, as in paper and released code, which is the most expensive stage.
        num_attributes: Number of attributes A.
        channels: Number of channels C of the feature map.

    Shape:
        tokens (R, 1, C), feature_map (R, C, H, W), attributes (R, A) -> (R, 1, C).

    Raises:
        ValueError: If `width` is below 1, or a row has more than one token.

    Source:
        PAENet (ACM MM 2022), equation 5, on the feature map; tanh as in the released code.

    Departs:
        The released code applies it to a map of 1 x 1, where the softmax over positions is constant and nothing can
        learn.

    Example:
        >>> stage = SpatialAttentionStage(width=8, num_attributes=2, channels=4)
        >>> stage(torch.randn(5, 1, 4), torch.rand(5, 4, 6, 3), torch.rand(5, 2)).shape
        torch.Size([5, 1, 4])
    """

    def __init__(self, *, width: int | None = 512, num_attributes: int, channels: int) -> None:
        super().__init__()
        width = _checked(width) or channels
        self.embed = nn.Linear(num_attributes, width, bias=False)
        self.look = nn.Conv2d(channels, width, 1)
        self.score = nn.Conv2d(width, channels, 1)

    def forward(self, tokens: Tensor, feature_map: Tensor, attributes: Tensor) -> Tensor:
        if tokens.shape[1] != 1:
            raise ValueError(
                f"SpatialAttentionStage takes one token for each row, got {tokens.shape[1]}: place it before "
                "ChannelGateStage"
            )
        guided = feature_map * tokens[:, 0, :, None, None].to(feature_map.dtype)
        weights = attention_over_positions(self.scores(guided, attributes))
        return (guided * weights).sum(dim=(2, 3))[:, None]

    def scores(self, guided: Tensor, attributes: Tensor) -> Tensor:
        """Compute the attention logits, (R, C, H, W), (R, A) -> (R, C, H, W) in [-1, 1]."""
        attribute_gate = self.embed(attributes).tanh()[:, :, None, None]
        visual = self.look(guided).tanh()
        return self.score(visual * attribute_gate.to(visual.dtype)).tanh()


@STAGES.register
class ChannelGateStage(nn.Module):
    """Emb3: channel gates, one for each attribute.

    For each attribute a layer on [f_a, f], with f_a = linear(attributes) and f the mean of the tokens (one token
    unless stages were added).

    Args:
        width: Width of a ReLU layer in between. None: one linear layer 2C -> C for each attribute, as in the paper (67
            M weights for eight attributes at C = 2048, 25 M with width 512).
        num_attributes: Number of attributes A.
        channels: Number of channels C of the feature map.

    Shape:
        tokens (R, T, C), feature_map (unused), attributes (R, A) -> (R, A, C), gates before their sigmoid.

    Raises:
        ValueError: If `width` is below 1.

    Source:
        PAENet (ACM MM 2022), equation 6.

    Departs:
        The released code computes one gate and copies it.

    Example:
        >>> stage = ChannelGateStage(width=8, num_attributes=2, channels=4)
        >>> stage(torch.randn(5, 1, 4), torch.rand(5, 4, 6, 3), torch.rand(5, 2)).shape
        torch.Size([5, 2, 4])
    """

    def __init__(self, *, width: int | None = 512, num_attributes: int, channels: int) -> None:
        super().__init__()
        width = _checked(width)
        self.embed = nn.Linear(num_attributes, channels)
        self.inner = None if width is None else nn.Linear(2 * channels, num_attributes * width)
        self.gates = PartLinear(num_attributes, width or 2 * channels, channels)

    def forward(self, tokens: Tensor, feature_map: Tensor, attributes: Tensor) -> Tensor:
        embedded = self.embed(attributes)
        joined = torch.cat([embedded, tokens.mean(dim=1).to(embedded.dtype)], dim=-1)
        count = len(self.gates.weight)
        if self.inner is None:
            return self.gates(joined[:, None].expand(-1, count, -1))
        return self.gates(F.relu(self.inner(joined)).unflatten(-1, (count, -1)))


def _checked(width: int | None) -> int | None:
    if width is not None and width < 1:
        raise ArgumentError("width", f"must be at least 1, or null, got {width}")
    return width
