"""Attention as the attribute embeddings use it: over tokens, over channels, over positions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

CHUNK = 128  # queries at a time, where no fused kernel helps


class TokenAttention(nn.Module):
    """Softmax attention of a few tokens on a few others, in `heads` parts of the channels.

    Shapes: query (R, T, C), context (R, S, C) -> (the projected query (R, T, C), what it attends to (R, T, C)).
    The projection of the keys has no bias: a shift that all keys share leaves the softmax as it is, so that it could
    not learn.
    Source: PAENet (ACM MM 2022), equation 3; with one head the scale is 1 / sqrt(C).
    """

    def __init__(self, channels: int, heads: int = 1) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"heads must divide the {channels} channels, got {heads}")
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels)

    def forward(self, query: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        projected = self.query(query)
        key, value = self._parts(self.key(context)), self._parts(self.value(context))
        attended = F.scaled_dot_product_attention(self._parts(projected), key, value)
        return projected, attended.transpose(1, 2).flatten(2)

    def _parts(self, tokens: Tensor) -> Tensor:
        """(R, T, C) -> (R, heads, T, C / heads)."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def extra_repr(self) -> str:
        return f"heads={self.heads}"


class ChannelTokenAttention(nn.Module):
    """Every channel a token of width 1: attention of C channels on C + A numbers.

    Shapes: rows (R, C), beside (R, A) -> (R, C). With q = W_q rows and r = W_kv [rows, beside], keys are r at even
    places and values r at odd ones; o_i = sum_j softmax_j(q_i k_j) v_j with scale 1; result W_p (o + rows) + b.
    Never holds (R, C, C + A) in memory where the device has a fused attention.
    Source: PAENet as released ("MultiHeadCrossAttention"); paper-like parts use `TokenAttention`.
    """

    def __init__(self, channels: int, beside: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_kv = nn.Linear(channels + beside, 2 * (channels + beside), bias=False)
        self.proj = nn.Linear(channels, channels)
        self.weights_dropout = nn.Dropout(dropout)  # on the weights, inside the attention

    def forward(self, rows: Tensor, beside: Tensor) -> Tensor:
        query = self.to_q(rows)
        key, value = self.to_kv(torch.cat([rows, beside.to(rows.dtype)], dim=-1)).unflatten(-1, (-1, 2)).unbind(-1)
        attended = scalar_attention(query, key, value, dropout=self.weights_dropout.p if self.training else 0.0)
        return self.proj(attended + rows)


def scalar_attention(query: Tensor, key: Tensor, value: Tensor, *, dropout: float = 0.0) -> Tensor:
    """o_i = sum_j softmax_j(q_i k_j) v_j over numbers as tokens of width 1.

    Shapes: (R, N), (R, M), (R, M) -> (R, N). The width is filled up with zeros to 8, which changes nothing and is what
    fused kernels ask for. The one for CPUs knows no dropout: with it, `CHUNK` queries at a time are computed, and again
    in backward, so that (R, N, M) is not in memory there either.
    """
    q, k, v = (F.pad(each[:, None, :, None], (0, 7)) for each in (query, key, value))
    if not dropout or query.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=1.0)[:, 0, :, 0]

    def attend(some: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(some, k, v, dropout_p=dropout, scale=1.0)

    parts = [checkpoint(attend, some, use_reentrant=False) for some in q.split(CHUNK, dim=2)]
    return torch.cat(parts, dim=2)[:, 0, :, 0]  # type: ignore[arg-type]


def attention_over_positions(scores: Tensor) -> Tensor:
    """Softmax over the positions of a map, for each channel by itself: (R, C, H, W) -> (R, C, H, W)."""
    return scores.flatten(2).softmax(dim=-1).view_as(scores)
