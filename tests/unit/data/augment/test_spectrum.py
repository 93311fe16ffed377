"""Augmentations of MCJA: pixels against loops, shares of changed images, choice of one for each image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from vireid.core.errors import ArgumentError
from vireid.core.rng import torch_generator
from vireid.core.types import Modality
from vireid.data.augment import (
    ChannelCutMix,
    ColorJitter,
    HorizontalFlip,
    HueJitter,
    OneOf,
    RandomGrayscale,
    SpectrumJitter,
    WeightedGrayscale,
)
from vireid.data.augment.frequency import FourierAmplitudeSwap
from vireid.data.augment.spectrum import jitter_spectrum, mix_boxes, weighted_gray
from vireid.data.augment.transforms import Augment, RowFilter
from vireid.testing import tiny_batch

KINDS = [HueJitter, WeightedGrayscale, ChannelCutMix, SpectrumJitter]


def pixels(count: int = 5, size: tuple[int, int] = (9, 6), seed: int = 0) -> Tensor:
    return torch.randint(256, (count, 3, *size), generator=torch_generator(seed), dtype=torch.uint8)


def colored(step, images: Tensor, seed: int = 0) -> Tensor:
    batch = tiny_batch()
    rows = torch.arange(len(images)) % len(batch)
    return step.color(images, batch.select(rows).with_images(images), generator=torch_generator(seed))


def test_weighted_gray_cuts_the_sum():
    images, weights = pixels(), torch.rand(5, 3, dtype=torch.float64)
    weights /= weights.sum(dim=1, keepdim=True)
    for ours, image, weight in zip(weighted_gray(images, weights), images.numpy(), weights.numpy()):
        expected = np.floor(weight[0] * image[0] + weight[1] * image[1] + weight[2] * image[2])
        for channel in ours:
            np.testing.assert_array_equal(channel, expected)


def test_rectangles_of_another_channel():
    images, boxes = pixels(3), torch.tensor([[2, 5, 1, 4], [7, 20, 3, 30], [0, 0, 0, 0]])
    ours = mix_boxes(images, boxes, torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0]))
    for row, (top, bottom, left, right) in enumerate(boxes.tolist()):
        expected = images[row, row].clone()
        expected[top:bottom, left:right] = images[row, (row + 1) % 3, top:bottom, left:right]
        assert torch.equal(ours[row], expected.expand(3, -1, -1))


def test_spectrum_jitter_blends_with_a_channel():
    images = pixels(2)
    assert torch.equal(jitter_spectrum(images, torch.tensor([0, 1]), torch.ones(2)), images)
    none = jitter_spectrum(images, torch.tensor([0, 1]), torch.zeros(2))
    assert torch.equal(none, torch.stack([images[0, :1].expand(3, -1, -1), images[1, 1:2].expand(3, -1, -1)]))


@pytest.mark.parametrize("size", [(40, 20), (20, 40)])
def test_rectangles_lie_in_the_image(size):
    boxes = ChannelCutMix().boxes(2000, size, torch_generator(0))
    assert (boxes[:, [0, 2]] >= 0).all()
    assert (boxes[:, 1] <= size[0]).all()
    assert (boxes[:, 3] <= size[1]).all()
    share = ((boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])).double() / (size[0] * size[1])
    assert share.min() > 0.01
    assert share.max() < 0.36
    assert boxes[:, 1].max() > 0.95 * size[0]


def test_released_rectangles_leave_the_lower_half_of_tall_images():
    """In the specification: nothing below row 191 of 384, and about a quarter has no rectangle."""
    boxes = ChannelCutMix(released_sides=True).boxes(4000, (384, 192), torch_generator(0))
    assert boxes[:, 1].max() <= 192
    assert (boxes[:, 2] >= 192).double().mean() == pytest.approx(0.26, abs=0.04)


@pytest.mark.parametrize("kind", KINDS)
def test_the_probability_is_that_of_an_image(kind):
    images = pixels(1).expand(1500, -1, -1, -1).contiguous()
    changed = (colored(kind(probability=0.25), images) != images).flatten(1).any(dim=1)
    assert changed.double().mean() == pytest.approx(0.25, abs=0.05)
    assert torch.equal(colored(kind(probability=0), images), images)


@pytest.mark.parametrize("kind", KINDS)
def test_input_images_are_not_changed(kind):
    images = pixels()
    before = images.clone()
    colored(kind(probability=1), images)
    assert torch.equal(images, before)


@pytest.mark.parametrize("kind", [WeightedGrayscale, ChannelCutMix])
def test_gray_steps_give_gray_images(kind):
    ours = colored(kind(probability=1), pixels())
    assert torch.equal(ours[:, 0], ours[:, 1])
    assert torch.equal(ours[:, 0], ours[:, 2])


@pytest.mark.parametrize("limit", [0, 0.6, -0.1])
def test_wrong_limit(limit):
    with pytest.raises(ArgumentError, match=r"limit must be above 0 and at most 0\.5"):
        HueJitter(limit=limit)


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_probability(kind):
    with pytest.raises(ArgumentError, match=r"probability must be in 0 \.\. 1, got 2"):
        kind(probability=2)


# -- one of several ----------------------------------------------------------------------------------------------------


class Paint(RandomGrayscale):
    """Set all pixels to one value."""

    def __init__(self, value: int) -> None:
        super().__init__()
        self.value = value

    def color(self, images, batch, *, generator):
        assert len(images) == len(batch)
        return torch.full_like(images, self.value)


def test_every_image_gets_one_step_with_equal_shares():
    images = pixels(1, (2, 2)).expand(3000, -1, -1, -1).contiguous()
    ours = colored(OneOf(steps={"a": Paint(10), "b": Paint(20), "c": Paint(30)}), images).flatten(1)
    assert (ours == ours[:, :1]).all()
    for value in (10, 20, 30):
        assert (ours[:, 0] == value).double().mean() == pytest.approx(1 / 3, abs=0.03)


def test_one_step_is_that_step_and_the_input_stays():
    images = pixels()
    before = images.clone()
    assert (colored(OneOf(steps={"a": Paint(7)}), images) == 7).all()
    assert torch.equal(images, before)


def test_half_of_the_visible_images_change_in_the_composition_of_mcja():
    batch = tiny_batch(size=(12, 6), identities=40)
    batch = batch.with_images(pixels(len(batch), (12, 6)))
    steps = {"hue": HueJitter(), "gray": WeightedGrayscale(), "cut": ChannelCutMix(), "jitter": SpectrumJitter()}
    augment = Augment({"color": OneOf(steps=steps)}, seed=0, only={"color": RowFilter(Modality.VISIBLE)})
    plain = Augment({}, seed=0)
    changed = torch.zeros(len(batch))
    for epoch in range(5):
        pair = augment(batch, epoch=epoch, step=0).images, plain(batch, epoch=epoch, step=0).images
        changed += (pair[0] != pair[1]).flatten(1).any(dim=1)
    visible = batch.modality == Modality.VISIBLE
    assert not changed[~visible].any()
    assert changed[visible].mean() / 5 == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ({}, "at least one entry"),
        ({"flip": HorizontalFlip()}, "flip, HorizontalFlip, has the hook locate: move it out of OneOf"),
        ({"swap": FourierAmplitudeSwap()}, "swap, FourierAmplitudeSwap, (has the hook|reads rows)"),
    ],
)
def test_refused_steps(steps, text):
    with pytest.raises(ArgumentError, match=text):
        OneOf(steps=steps)


def test_steps_with_other_names_of_their_draws_are_accepted():
    assert OneOf(steps={"jitter": ColorJitter()}).names == ("jitter",)
