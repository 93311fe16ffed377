from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vireid.core.rng import torch_generator
from vireid.data.augment.color import (
    GRAY,
    KEEP,
    LUMA,
    ChannelAdaptiveGray,
    ChannelCopy,
    ChannelExchange,
    LocalGrayscale,
    RandomGrayscale,
    copy_channels,
    gray_pixels,
    mix_channels,
)
from vireid.testing import tiny_batch

COUNT = 2000


def images(count: int = 5) -> torch.Tensor:
    values = torch.randn(count, 3, 6, 4, generator=torch.Generator().manual_seed(0))
    return values.contiguous(memory_format=torch.channels_last)


def painted(step, given: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return step.paint(given.clone(), tiny_batch(), generator=torch_generator(seed))


def kinds(step, seed: int = 0) -> np.ndarray:
    """How often each choice was made: channels 0, 1, 2, the luma, unchanged."""
    given = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1).expand(COUNT, 3, 1, 1)
    result = painted(step, given, seed).flatten(1)
    luma = sum(weight * value for weight, value in zip(LUMA, (1.0, 2.0, 4.0)))
    expected = torch.tensor([[1.0] * 3, [2.0] * 3, [4.0] * 3, [luma] * 3, [1.0, 2.0, 4.0]])
    match = (result[:, None] - expected).abs().amax(2) < 1e-5
    assert (match.sum(1) == 1).all()
    return match.sum(0).numpy() / COUNT


def test_each_choice_does_what_it_says():
    given = images()
    result = mix_channels(given, torch.tensor([0, 1, 2, GRAY, KEEP]))
    for row in range(3):
        assert all(torch.equal(result[row, channel], given[row, row]) for channel in range(3))
    luma = sum(weight * given[3, channel] for channel, weight in enumerate(LUMA))
    torch.testing.assert_close(result[3], luma.expand(3, 6, 4))
    assert torch.equal(result[4], given[4])
    assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_a_copied_channel_is_exact_in_any_type(kind):
    given = (100 * images(4).abs()).to(kind)
    result = copy_channels(given, torch.tensor([2, 0, 1, KEEP]))
    for row, source in enumerate((2, 0, 1)):
        assert all(torch.equal(result[row, channel], given[row, source]) for channel in range(3))
    assert torch.equal(result[3], given[3])
    assert result.dtype == kind
    assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("probability", [3 / 11, 0.75, 1.0])
def test_channel_copy_is_before_the_normalization_and_chooses_evenly(probability):
    given = torch.tensor([1, 2, 4], dtype=torch.uint8).view(1, 3, 1, 1).expand(COUNT, 3, 1, 1)
    step = ChannelCopy(probability=probability)
    assert step.paint(given, tiny_batch(), generator=torch_generator(0)) is given
    result = step.color(given, tiny_batch(), generator=torch_generator(0)).flatten(1)
    expected = torch.tensor([[1, 1, 1], [2, 2, 2], [4, 4, 4], [1, 2, 4]], dtype=torch.uint8)
    counts = (result[:, None] == expected).all(2).sum(0).numpy() / COUNT
    np.testing.assert_allclose(counts, [probability / 3] * 3 + [1 - probability], atol=0.04)


def test_exchange_chooses_evenly_and_never_leaves_colour():
    np.testing.assert_allclose(kinds(ChannelExchange()), [1 / 3, 1 / 3, 1 / 3, 0, 0], atol=0.04)
    np.testing.assert_allclose(kinds(ChannelExchange(gray=True)), [1 / 4] * 4 + [0], atol=0.04)


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_adaptive_gray_keeps_some(probability):
    expected = [1 / 4] * 3 + [probability / 4, (1 - probability) / 4]
    np.testing.assert_allclose(kinds(ChannelAdaptiveGray(probability=probability)), expected, atol=0.04)


def test_gray_pixels_are_those_of_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    ours = gray_pixels(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0]
    theirs = np.asarray(Image.fromarray(pixels).convert("L"))
    for channel in ours.numpy():
        np.testing.assert_array_equal(channel, theirs)


def test_random_grayscale_changes_its_share_and_not_its_input():
    given = torch.arange(12, dtype=torch.uint8).view(1, 3, 2, 2).repeat(COUNT, 1, 1, 1)
    before = given.clone()
    result = RandomGrayscale(probability=0.3).color(given, tiny_batch(), generator=torch_generator(0))
    assert torch.equal(given, before)
    gray = (result[:, :1] == result).flatten(1).all(1)
    assert gray.float().mean().item() == pytest.approx(0.3, abs=0.04)
    assert torch.equal(result[~gray], given[~gray])


def test_local_grayscale_paints_a_rectangle():
    given = images(60)
    result = painted(LocalGrayscale(probability=1.0), given)
    for before, after in zip(given, result):
        rows, columns = torch.where((before != after).any(0))
        assert len(rows) == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
        luma = sum(weight * before[channel] for channel, weight in enumerate(LUMA))
        torch.testing.assert_close(after[:, rows, columns], luma[rows, columns].expand(3, -1))
