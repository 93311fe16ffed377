"""Attention over tokens, channels and positions, against loops."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vireid.layers.attention import ChannelTokenAttention, TokenAttention, attention_over_positions, scalar_attention


def softmax(values):
    exponents = [math.exp(value - max(values)) for value in values]
    return [exponent / sum(exponents) for exponent in exponents]


def test_tokens_of_two_heads():
    torch.manual_seed(0)
    attention = TokenAttention(6, heads=2).double()
    query, context = torch.randn(2, 1, 6).double(), torch.randn(2, 3, 6).double()
    projected, attended = (result.detach() for result in attention(query, context))
    q, k, v = (layer.detach() for layer in (attention.query(query), attention.key(context), attention.value(context)))
    torch.testing.assert_close(projected, q)
    for row in range(2):
        for head in range(2):
            part = slice(3 * head, 3 * head + 3)
            scores = [float(q[row, 0, part] @ k[row, j, part]) / math.sqrt(3) for j in range(3)]
            expected = sum(w * v[row, j, part] for j, w in enumerate(softmax(scores)))
            torch.testing.assert_close(attended[row, 0, part], expected)


def test_keys_have_no_bias_because_the_softmax_would_not_see_it():
    assert TokenAttention(4).key.bias is None


def test_heads_must_divide_the_channels():
    with pytest.raises(ValueError, match="heads must divide the 6 channels, got 4"):
        TokenAttention(6, heads=4)


def test_numbers_as_tokens():
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, n, generator=generator, dtype=torch.float64) for n in (3, 5, 5))
    result = scalar_attention(q, k, v)
    for row in range(2):
        for i in range(3):
            weights = softmax([float(q[row, i] * k[row, j]) for j in range(5)])
            expected = sum(w * float(v[row, j]) for j, w in enumerate(weights))
            assert float(result[row, i]) == pytest.approx(expected, rel=1e-12)


def test_keys_stand_at_even_places_and_values_at_odd_ones():
    torch.manual_seed(0)
    layer = ChannelTokenAttention(3, 2).double()
    rows, beside = torch.randn(2, 3).double(), torch.randn(2, 2).double()
    both = layer.to_kv(torch.cat([rows, beside], dim=1))
    attended = scalar_attention(layer.to_q(rows), both[:, 0::2], both[:, 1::2])
    torch.testing.assert_close(layer(rows, beside), layer.proj(attended + rows))


def test_positions_compete_within_a_channel():
    weights = attention_over_positions(torch.randn(2, 3, 4, 5))
    torch.testing.assert_close(weights.sum(dim=(2, 3)), torch.ones(2, 3))


class Largest(TorchDispatchMode):
    """The most numbers in one tensor that any operation gave."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.numbers = max(self.numbers, *sizes, 0)
        return result


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_no_step_holds_all_pairs_of_channels(dropout):
    layer = ChannelTokenAttention(512, 8, dropout=dropout).train()
    rows = torch.randn(8, 512, requires_grad=True)
    with Largest() as largest:
        layer(rows, torch.rand(8, 8)).sum().backward()
    assert largest.numbers <= 8 * 512 * (512 + 8) // 2


def test_dropout_in_chunks_drops_weights_at_its_rate_and_repeats_in_backward():
    torch.manual_seed(0)
    q, k, v = torch.zeros(1, 300), torch.zeros(1, 1000), torch.ones(1, 1000, requires_grad=True)
    kept = scalar_attention(q, k, v, dropout=0.25)  # uniform weights: the share that is kept, over 0.75
    kept.sum().backward()
    kept = kept.detach()
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.01)
    assert 0.01 < float(kept.std()) < 0.03
    assert float(v.grad.sum()) == pytest.approx(float(kept.sum()), rel=1e-5)
