"""Color jitter: brightness, contrast, saturation and hue in random order."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from vireid.core.errors import ArgumentError
from vireid.core.registries import AUGMENTATIONS
from vireid.core.types import Batch
from vireid.data.augment.color import gray_pixels
from vireid.data.augment.hue import shift_hue
from vireid.data.augment.pixels import send
from vireid.data.augment.thermal import blend, scale_brightness, scale_contrast
from vireid.data.augment.transforms import Augmentation


def scale_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply differences from the luma of the pixel: (B, 3, H, W) uint8, (B,) on the CPU -> the same."""
    return blend(images, gray_pixels(images).float(), factor)


def rotate_hue(images: Tensor, factor: Tensor) -> Tensor:
    """Rotate the hue by a share of a full turn: (B, 3, H, W) uint8, (B,) on the CPU -> the same."""
    return shift_hue(images, (255 * factor.double()).trunc().long())


CHANGES = (scale_brightness, scale_contrast, scale_saturation, rotate_hue)


def change_colors(images: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """Apply the four changes of color to each image in its order.

    Args:
        images: Images.
        factors: Factor of each of `CHANGES`.
        order: Number of the first, second, third and fourth change.

    Shape:
        images (B, 3, H, W) uint8 on any device, factors (B, 4), order (B, 4) int64 on the CPU -> (B, 3, H, W) uint8
    """
    images = images.clone()
    for place in range(len(CHANGES)):
        for number, change in enumerate(CHANGES):
            chosen = (order[:, place] == number).nonzero().squeeze(1)
            if len(chosen):
                rows = send(chosen, images.device)
                images[rows] = change(images[rows], factors[chosen, number])
    return images


@AUGMENTATIONS.register
class ColorJitter(Augmentation):
    """Change brightness, contrast, saturation and hue of each image, in random order.

    Args:
        brightness: Largest change of the brightness; the factor is uniform in 1 - brightness .. 1 + brightness.
        contrast: Largest change of the differences from the mean luma of the image, in the same way.
        saturation: Largest change of the differences from the luma of the pixel, in the same way.
        hue: Largest rotation of the hue, as a share of a full turn; at most 0.5.

    Source:
        torchvision's ColorJitter on Pillow images, which PGM (CVPR 2023) uses with 0.5 for all four.
    """

    def __init__(
        self, *, brightness: float = 0.5, contrast: float = 0.5, saturation: float = 0.5, hue: float = 0.5
    ) -> None:
        for name, value, most in (
            ("brightness", brightness, 1.0),
            ("contrast", contrast, 1.0),
            ("saturation", saturation, 1.0),
            ("hue", hue, 0.5),
        ):
            if not 0 <= value <= most:
                raise ArgumentError(name, f"must be in 0 .. {most:g}, got {value:g}")
        self.largest = torch.tensor([brightness, contrast, saturation, hue])

    def color(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        change = (2 * torch.rand(len(images), 4, generator=generator) - 1) * self.largest
        order = torch.rand(len(images), 4, generator=generator).argsort(dim=1)
        return change_colors(images, change + torch.tensor([1.0, 1.0, 1.0, 0.0]), order)
