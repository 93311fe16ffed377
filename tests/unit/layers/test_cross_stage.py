from __future__ import annotations

import re

import pytest
import torch

from vireid.core.errors import ConfigError
from vireid.layers.cross_stage import ChannelNonLocal, PositionNonLocal, StageAggregation, fold, thinned

LATER, EARLIER = 6, 4


def started(block):
    """With a normalisation that lets something through."""
    torch.manual_seed(0)
    block = block(LATER, EARLIER).double().eval()
    torch.nn.init.normal_(block.norm.weight)
    return block


def maps(size: tuple[int, int], earlier: tuple[int, int]):
    return torch.randn(2, LATER, *size).double(), torch.randn(2, EARLIER, *earlier).double()


@pytest.mark.parametrize(("size", "earlier", "stride"), [((4, 3), (4, 3), 1), ((2, 3), (4, 6), 2), ((3, 2), (5, 3), 2)])
def test_channels_by_loops_and_strided_convolutions(size, earlier, stride):
    """As the release has it: the value at all positions, and strides in the key and on the way back."""
    block = started(ChannelNonLocal)
    later, before = maps(size, earlier)
    query, value = block.query(later).flatten(2), block.value(before)
    key = torch.nn.functional.conv2d(before, block.key.weight, block.key.bias, stride=stride).flatten(2)
    answer = torch.zeros_like(value)
    for image in range(2):
        for i in range(EARLIER):
            for j in range(EARLIER):
                answer[image, i] += (query[image, i] @ key[image, j]) / EARLIER * value[image, j]
    back = torch.nn.functional.conv2d(answer, block.project.weight, block.project.bias, stride=stride)
    torch.testing.assert_close(block(later, before), later + block.norm(back))


@pytest.mark.parametrize(("size", "earlier"), [((4, 3), (4, 3)), ((2, 3), (4, 6))])
def test_positions_by_loops_over_pairs_of_halves(size, earlier):
    block = started(PositionNonLocal)
    later, before = maps(size, earlier)
    query, key, value = block.query(later), block.key(before), block.value(before)

    def tokens(feature_map, image):
        """One for each position of the upper half: its channels and those half a map further, alternately."""
        flat = feature_map[image].flatten(1)
        half = flat.shape[1] // 2
        return [torch.stack([flat[:, n], flat[:, n + half]], dim=1).flatten() for n in range(half)]

    answer = torch.zeros_like(query)
    for image in range(2):
        half = size[0] * size[1] // 2
        for n, q in enumerate(tokens(query, image)):
            seen = zip(tokens(key, image), tokens(value, image), strict=True)
            y = sum((q @ k) * v for k, v in seen) / (earlier[0] * earlier[1] / 2)
            for channel, (upper, lower) in enumerate(y.view(-1, 2)):
                answer[image, channel].view(-1)[n] = upper
                answer[image, channel].view(-1)[n + half] = lower
    torch.testing.assert_close(block(later, before), later + block.norm(block.project(answer)))


@pytest.mark.parametrize("block", [ChannelNonLocal, PositionNonLocal, StageAggregation])
def test_starts_as_the_identity(block):
    later, before = maps((2, 3), (4, 6))
    module = block(LATER, EARLIER).double()
    torch.testing.assert_close(module(later, before), later)


def test_memory_order_of_maps_means_nothing():
    block = started(PositionNonLocal)
    later, before = maps((2, 3), (4, 6))
    channels_last = [each.to(memory_format=torch.channels_last) for each in (later, before)]
    torch.testing.assert_close(block(*channels_last), block(later, before))


def test_fold_pairs_the_halves_of_the_map():
    feature_map = torch.arange(8.0).view(1, 2, 2, 2)
    assert fold(feature_map).tolist() == [[[0, 1], [2, 3], [4, 5], [6, 7]]]


@pytest.mark.parametrize(("have", "want", "expected"), [(4, 4, [0, 1, 2, 3]), (5, 3, [0, 2, 4]), (3, 2, [0, 2])])
def test_thinned_reads_where_a_stride_would(have, want, expected):
    row = torch.arange(have).float().view(1, 1, have, 1)
    assert thinned(row, torch.zeros(1, 1, want, 1)).flatten().tolist() == expected


def test_an_odd_map_names_the_way_out():
    with pytest.raises(ConfigError, match=re.escape("a map of 3 x 5 has an odd number of positions; change SIZE")):
        fold(torch.zeros(1, 2, 3, 5))


def test_an_odd_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="even number of channels, got 3"):
        PositionNonLocal(6, 3)
