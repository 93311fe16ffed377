"""The three embeddings, each recomputed row by row, channel by channel, position by position."""

import math

import pytest
import torch
from torch import nn

from vireid.models.adapters.stages import ChannelGateStage, CrossAttentionStage, SpatialAttentionStage
from vireid.testing import check_stage

R, C, A, H, W = 3, 8, 4, 3, 2
SIZE = {"num_attributes": A, "channels": C}


@pytest.fixture
def given():
    generator = torch.Generator().manual_seed(0)
    rand = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return rand(R, 1, C), rand(R, C, H, W).relu(), (rand(R, A) > 0).double()


def build(kind, **arguments):
    torch.manual_seed(0)
    return kind(**arguments, **SIZE).double().eval()


def layer_norm(norm, x):
    centred = x - x.mean()
    return centred / (centred.square().mean() + norm.eps).sqrt() * norm.weight + norm.bias


def gelu(x):
    return torch.tensor([float(v) * 0.5 * (1 + math.erf(float(v) / math.sqrt(2))) for v in x], dtype=x.dtype)


def after_attention(stage, attended, query, f):
    """Equations 3 and 4 of the paper for one row, from the attention on."""
    first = layer_norm(stage.norm_attended, attended + query)
    z = layer_norm(stage.norm_image, first + f)
    inner, outer = stage.ffn[0], stage.ffn[2]
    hidden = gelu(inner.weight @ z + inner.bias)
    return layer_norm(stage.norm_out, z + outer.weight @ hidden + outer.bias)


def test_emb1_of_one_image_token_and_one_attribute_token(given):
    tokens, feature_map, attributes = given
    stage = build(CrossAttentionStage)
    result = stage(tokens, feature_map, attributes)
    attention, embed = stage.attend.attention, stage.attend.embed
    for row in range(R):
        f = tokens[row, 0]
        f_a = embed.weight @ attributes[row] + embed.bias
        q = attention.query.weight @ f + attention.query.bias
        scores, values = [], []
        for token in (f, f_a):
            scores.append(float(q @ (attention.key.weight @ token)) / math.sqrt(C))
            values.append(attention.value.weight @ token + attention.value.bias)
        largest = max(scores)
        weights = [math.exp(s - largest) for s in scores]
        attended = sum(w / sum(weights) * v for w, v in zip(weights, values, strict=True))
        torch.testing.assert_close(result[row, 0], after_attention(stage, attended, q, f))


def test_emb1_with_channels_as_tokens(given):
    tokens, feature_map, attributes = given
    stage = build(CrossAttentionStage, token="channel", width=5)
    result = stage(tokens, feature_map, attributes)
    attention = stage.attend.attention
    for row in range(R):
        f = tokens[row, 0]
        q = attention.to_q.weight @ f
        both = attention.to_kv.weight @ torch.cat([f, attributes[row]])
        attended = torch.zeros(C, dtype=f.dtype)
        for i in range(C):
            weights = [math.exp(float(q[i] * both[2 * j])) for j in range(C + A)]
            attended[i] = sum(w * both[2 * j + 1] for j, w in enumerate(weights)) / sum(weights)
        attended = attention.proj.weight @ (attended + f) + attention.proj.bias
        torch.testing.assert_close(result[row, 0], after_attention(stage, attended, f, f))


@pytest.mark.parametrize("width", [None, 5])
def test_emb2_position_by_position(given, width):
    tokens, feature_map, attributes = given
    stage = build(SpatialAttentionStage, width=width)
    result = stage(tokens, feature_map, attributes)
    look, score = stage.look.weight[:, :, 0, 0], stage.score.weight[:, :, 0, 0]
    for row in range(R):
        wanted = (stage.embed.weight @ attributes[row]).tanh()
        guided, scores = {}, {}
        for y in range(H):
            for x in range(W):
                guided[y, x] = feature_map[row, :, y, x] * tokens[row, 0]
                seen = (look @ guided[y, x] + stage.look.bias).tanh()
                scores[y, x] = (score @ (seen * wanted) + stage.score.bias).tanh()
        for channel in range(C):
            weights = {place: math.exp(float(value[channel])) for place, value in scores.items()}
            expected = sum(float(guided[place][channel]) * w for place, w in weights.items()) / sum(weights.values())
            assert float(result[row, 0, channel]) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_emb2_takes_one_token(given):
    tokens, feature_map, attributes = given
    with pytest.raises(ValueError, match="takes one token for each row, got 2: place it before"):
        build(SpatialAttentionStage)(tokens.expand(-1, 2, -1), feature_map, attributes)


@pytest.mark.parametrize("width", [None, 5])
def test_emb3_gate_by_gate(given, width):
    tokens, feature_map, attributes = given
    stage = build(ChannelGateStage, width=width)
    result = stage(tokens, feature_map, attributes)
    assert result.shape == (R, A, C)
    for row in range(R):
        f_a = stage.embed.weight @ attributes[row] + stage.embed.bias
        joined = torch.cat([f_a, tokens[row, 0]])
        for gate in range(A):
            rows = joined
            if width:
                part = slice(gate * width, (gate + 1) * width)
                rows = (stage.inner.weight[part] @ joined + stage.inner.bias[part]).clamp_min(0)
            expected = stage.gates.weight[gate] @ rows + stage.gates.bias[gate]
            torch.testing.assert_close(result[row, gate], expected)


def test_gates_of_512_need_a_third_of_the_weights():
    with torch.device("meta"):
        narrow, wide = (ChannelGateStage(width=w, num_attributes=8, channels=2048) for w in (512, None))
    count = lambda stage: sum(p.numel() for p in stage.parameters()) / 1e6  # noqa: E731
    assert (round(count(narrow)), round(count(wide))) == (25, 67)


class OnOnePosition(nn.Module):
    """Emb2 called as PAENet's released code calls it: the token as a map of one position."""

    def __init__(self, **size):
        super().__init__()
        self.attention = SpatialAttentionStage(**size)

    def forward(self, tokens, feature_map, attributes):
        return self.attention(torch.ones_like(tokens), tokens[:, 0, :, None, None], attributes)


def test_the_contract_catches_the_released_use_of_emb2():
    """Its output is its input, and its layers learn nothing; over the real map they do."""
    size = {"num_attributes": 8, "channels": 16}
    check_stage(lambda: SpatialAttentionStage(**size))
    with pytest.raises(AssertionError, match=r"so these learn nothing: .*embed.weight.*look.weight.*score.weight"):
        check_stage(lambda: OnOnePosition(**size))
    tokens = torch.randn(2, 1, 16)
    assert torch.equal(OnOnePosition(**size)(tokens, tokens, torch.ones(2, 8)), tokens)


@pytest.mark.parametrize(
    ("kind", "arguments", "text"),
    [
        (CrossAttentionStage, {"width": 0}, "width must be at least 1, or null, got 0"),
        (CrossAttentionStage, {"token": "channel", "heads": 2}, "heads must be 1 with token 'channel'"),
        (SpatialAttentionStage, {"width": -1}, "width must be at least 1"),
        (ChannelGateStage, {"width": 0}, "width must be at least 1"),
    ],
)
def test_bad_arguments(kind, arguments, text):
    with pytest.raises(ValueError, match=text):
        kind(**arguments, **SIZE)
