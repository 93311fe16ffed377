"""Color jitter against Pillow and torchvision."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torchvision.transforms import functional

from vireid.core.errors import ArgumentError
from vireid.core.rng import torch_generator
from vireid.data.augment.hue import shift_hue
from vireid.data.augment.jitter import CHANGES, ColorJitter, change_colors, rotate_hue, scale_saturation
from vireid.testing import tiny_batch

PILLOW = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation, functional.adjust_hue)


def images(count: int = 4, height: int = 16, width: int = 9) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


def as_pillow(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def from_pillow(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def test_saturation_is_that_of_pillow():
    factors = torch.tensor([0.5, 0.9, 1.0, 1.5])
    for ours, image, factor in zip(scale_saturation(images(), factors), images(), factors.tolist()):
        assert torch.equal(ours, from_pillow(ImageEnhance.Color(as_pillow(image)).enhance(factor)))


@pytest.mark.parametrize("factor", [-0.5, -0.31, -0.001, 0.0, 0.2, 0.5])
def test_hue_is_that_of_torchvision_on_pillow_images(factor):
    for ours, image in zip(rotate_hue(images(), torch.full((4,), factor)), images()):
        expected = from_pillow(functional.adjust_hue(as_pillow(image), factor))  # type: ignore[arg-type]
        assert (ours.int() - expected.int()).abs().max() <= 1


def test_every_kind_of_color_survives_the_way_to_hue_and_back():
    """Gray, black, white, pure and mixed colors, in all orders of the channels."""
    levels = (0, 1, 127, 128, 254, 255)
    pixels = torch.tensor(list(itertools.product(levels, repeat=3)), dtype=torch.uint8).T.reshape(1, 3, 6, 36)
    expected = from_pillow(as_pillow(pixels[0]).convert("HSV").convert("RGB"))
    assert torch.equal(shift_hue(pixels, torch.tensor([0]))[0], expected)
    assert torch.equal(shift_hue(pixels, torch.tensor([256])), shift_hue(pixels, torch.tensor([0])))


def test_changes_follow_the_order_of_each_image():
    orders = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]])
    factors = torch.tensor([[0.6, 1.4, 0.8, 0.2], [1.5, 0.5, 1.2, -0.4], [1.1, 0.7, 1.5, 0.5], [0.9, 1.3, 0.5, 0.05]])
    changed = change_colors(images(), factors, orders)
    for image, factor, order, ours in zip(images(), factors, orders.tolist(), changed):
        one = image[None]
        for number in order:
            one = CHANGES[number](one, factor[None, number])
        assert torch.equal(ours, one[0])
        pillow = as_pillow(image)
        for number in order:
            pillow = PILLOW[number](pillow, float(factor[number]))  # type: ignore[arg-type]
        off = (ours.int() - from_pillow(pillow).int()).abs()
        assert off.float().mean() < 0.5  # a level of the hue grows in later changes


def test_draws_are_uniform_around_1_and_in_every_order(monkeypatch):
    drawn = {}

    def record(images, factors, order):
        drawn.update(factors=factors, order=order)
        return images

    monkeypatch.setattr("vireid.data.augment.jitter.change_colors", record)
    batch = tiny_batch(identities=100, per_modality=10, size=(1, 1))
    jitter = ColorJitter(brightness=0.1, contrast=0.2, saturation=0.3, hue=0.4)
    jitter.color(batch.images.byte(), batch, generator=torch_generator(0))
    factors, orders = drawn["factors"], drawn["order"]
    for column, center, largest in zip(factors.T, (1, 1, 1, 0), (0.1, 0.2, 0.3, 0.4)):
        assert center - largest <= column.min() < center - 0.95 * largest
        assert center + 0.95 * largest < column.max() <= center + largest
        assert abs(float(column.mean()) - center) < 0.1 * largest
    counts = torch.unique(orders, dim=0, return_counts=True)[1]
    assert len(counts) == 24
    assert counts.min() > 0.5 * len(orders) / 24


def test_without_changes_the_image_stays():
    batch, jitter = tiny_batch(), ColorJitter(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)
    gray = images(1).repeat(len(batch), 1, 1, 1)[:, :1].repeat(1, 3, 1, 1)
    assert torch.equal(jitter.color(gray, batch, generator=torch_generator(0)), gray)


@pytest.mark.parametrize(
    ("name", "value"), [("brightness", -0.1), ("contrast", 1.1), ("saturation", 2.0), ("hue", 0.6)]
)
def test_amounts_out_of_range_are_reported(name, value):
    with pytest.raises(ArgumentError) as error:
        ColorJitter(**{name: value})
    assert error.value.parameter == name
