"""Attention layers of progressive attribute embedding: over tokens, over channels, over positions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vireid.core.errors import ArgumentError

CHUNK = 128  # queries per chunk if no fused kernel is available


class TokenAttention(nn.Module):
    """Multi-head softmax attention of query tokens over context tokens.

    The key projection has no bias: a shift of all keys does not change the softmax, so that it could not learn.

    Args:
        channels: Number of channels C.
        heads: Number of heads; divides C.

    Shape:
        query (R, T, C), context (R, S, C) -> projected query (R, T, C) and attention output (R, T, C).

    Raises:
        ValueError: If `heads` does not divide `channels`.

    Source:
        PAENet (ACM MM 2022), equation 3; with one head the scale is 1 / sqrt(C).
    """

    def __init__(self, channels: int, heads: int = 1) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ArgumentError("heads", f"must divide the {channels} channels, got {heads}")
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
        """Split into heads, (R, T, C) -> (R, heads, T, C / heads)."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def extra_repr(self) -> str:
        return f"heads={self.heads}"


class ChannelTokenAttention(nn.Module):
    """Attention with every channel as a token of width 1: C channels over C + A numbers.

    With q = W_q rows and r = W_kv [rows, extra], the keys are r at even positions and the values r at odd positions;
    o_i = sum_j softmax_j(q_i k_j) v_j with scale 1; result W_p (o + rows) + b. No tensor of (R, C, C + A) is kept
    where the device has a fused attention kernel.

    Args:
        channels: Number of channels C.
        extra: Number of further tokens A.
        dropout: Dropout probability of the attention weights.

    Shape:
        rows (R, C), extra (R, A) -> (R, C).

    Source:
        "MultiHeadCrossAttention" of PAENet as released. The paper's form is `TokenAttention`.
    """

    def __init__(self, channels: int, extra: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_kv = nn.Linear(channels + extra, 2 * (channels + extra), bias=False)
        self.proj = nn.Linear(channels, channels)
        self.weights_dropout = nn.Dropout(dropout)  # applied to the weights inside the attention

    def forward(self, rows: Tensor, extra: Tensor) -> Tensor:
        query = self.to_q(rows)
        key, value = self.to_kv(torch.cat([rows, extra.to(rows.dtype)], dim=-1)).unflatten(-1, (-1, 2)).unbind(-1)
        attended = scalar_attention(query, key, value, dropout=self.weights_dropout.p if self.training else 0.0)
        return self.proj(attended + rows)


def scalar_attention(query: Tensor, key: Tensor, value: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Attention over numbers as tokens of width 1: o_i = sum_j softmax_j(q_i k_j) v_j.

    The width is padded with zeros to 8, which fused kernels need and which changes nothing. The CPU kernel does not
    support dropout: with dropout, `CHUNK` queries at a time are computed and recomputed in the backward pass, so that
    no tensor of (R, N, M) is kept.

    Shape:
        query (R, N), key (R, M), value (R, M) -> (R, N).
    """
    q, k, v = (F.pad(each[:, None, :, None], (0, 7)) for each in (query, key, value))
    if not dropout or query.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=1.0)[:, 0, :, 0]

    def attend(chunk: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(chunk, k, v, dropout_p=dropout, scale=1.0)

    parts = [checkpoint(attend, chunk, use_reentrant=False) for chunk in q.split(CHUNK, dim=2)]
    return torch.cat(parts, dim=2)[:, 0, :, 0]  # type: ignore[arg-type]


def attention_over_positions(scores: Tensor) -> Tensor:
    """Softmax over the positions of each channel: (R, C, H, W) -> (R, C, H, W)."""
    return scores.flatten(2).softmax(dim=-1).view_as(scores)
