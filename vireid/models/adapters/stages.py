"""The three embeddings of PAE: each takes tokens, the map and the attributes, and hands on tokens.

Each owns its projection of the attributes, so that any of them can be left out.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.registries import STAGES
from vireid.layers.attention import ChannelTokenAttention, TokenAttention, attention_over_positions
from vireid.layers.parts import PartLinear


@STAGES.register
class CrossAttentionStage(nn.Module):
    """Emb1: the image asks, image and attributes answer.

    Shapes: tokens (R, T, C), attributes (R, A) -> (R, T, C). With f_a = linear(attributes), Q = W_q f and keys and
    values from {f, f_a}: f_ca = Norm(Att + Q), z = Norm(f_ca + f), result Norm(z + FFN(z)); Norm is LayerNorm and FFN
    linear - GELU - linear of `width` (None: C) between.
    `token`: "vector", as in the paper, one token for the image and one for the attributes; "channel", as in the
    release, where each channel is a token of width 1 (`layers.attention.ChannelTokenAttention`), inside the same chain
    of norms, its Q being f.
    Source: PAENet (ACM MM 2022), equations 3 and 4. The paper leaves open the number of heads (1 here), dropout and the
    FFN's form.
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
            raise ValueError(f"heads must be 1 with token 'channel', whose tokens are single numbers; got {heads}")
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
    """(R, T, C), (R, A) -> (R, T, C) twice: the query, and what it finds in {image tokens, attributes}."""

    def __init__(self, channels: int, num_attributes: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Linear(num_attributes, channels)
        self.attention = TokenAttention(channels, heads)

    def forward(self, tokens: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        embedded = self.embed(attributes)[:, None].to(tokens.dtype)
        return self.attention(tokens, torch.cat([tokens, embedded], dim=1))


class _ChannelTokens(nn.Module):
    """The same, where the channels of each token and the attributes are the tokens of the attention."""

    def __init__(self, channels: int, num_attributes: int, heads: int) -> None:
        super().__init__()
        self.attention = ChannelTokenAttention(channels, num_attributes)

    def forward(self, tokens: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        rows = tokens.flatten(0, 1)
        beside = attributes.repeat_interleave(tokens.shape[1], dim=0)
        return tokens, self.attention(rows, beside).view_as(tokens)


@STAGES.register
class SpatialAttentionStage(nn.Module):
    """Emb2: where on the map each channel looks, guided by attributes.

    Shapes: tokens (R, 1, C), feature_map (R, C, H, W), attributes (R, A) -> (R, 1, C). With G = map * token (the token
    at every position), scores = tanh(conv(tanh(conv G) * tanh(linear(attributes)))), 1 x 1 convolutions C -> `width`
    -> C (None: C, as in paper and release, which makes it the most expensive stage); softmax over positions for each
    channel; result sum over positions of G * softmax.
    Errors: ValueError for more than one token; it stands before the gates.
    Source: PAENet (ACM MM 2022), equation 5, read over the real map; tanh as in the release. Departs from the released
    code, which gives it a map of 1 x 1, where the softmax over positions is constant and nothing here can learn.
    """

    def __init__(self, *, width: int | None = 512, num_attributes: int, channels: int) -> None:
        super().__init__()
        width = _checked(width) or channels
        self.embed = nn.Linear(num_attributes, width, bias=False)
        self.look = nn.Conv2d(channels, width, 1)
        self.score = nn.Conv2d(width, channels, 1)

    def forward(self, tokens: Tensor, feature_map: Tensor, attributes: Tensor) -> Tensor:
        if tokens.shape[1] != 1:
            raise ValueError(f"SpatialAttentionStage takes one token for each row, got {tokens.shape[1]}: put it first")
        guided = feature_map * tokens[:, 0, :, None, None].to(feature_map.dtype)
        weights = attention_over_positions(self.scores(guided, attributes))
        return (guided * weights).sum(dim=(2, 3))[:, None]

    def scores(self, guided: Tensor, attributes: Tensor) -> Tensor:
        """(R, C, H, W), (R, A) -> (R, C, H, W) in [-1, 1]."""
        wanted = self.embed(attributes).tanh()[:, :, None, None]
        seen = self.look(guided).tanh()
        return self.score(seen * wanted.to(seen.dtype)).tanh()


@STAGES.register
class ChannelGateStage(nn.Module):
    """Emb3: for each attribute, which channels count.

    Shapes: tokens (R, T, C), attributes (R, A) -> (R, A, C), gates before their sigmoid: for each attribute a layer of
    its own on [f_a, f], f_a = linear(attributes), f the mean of the tokens (there is one unless stages were added).
    `width`: a ReLU layer of that width between; None: one linear layer 2C -> C for each attribute, as in the paper
    (67 M weights for eight attributes at C = 2048, 25 M with 512).
    Source: PAENet (ACM MM 2022), equation 6. Departs from the released code, which makes one gate and copies it.
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
        raise ValueError(f"width must be at least 1, or null, got {width}")
    return width
