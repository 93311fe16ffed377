"""Spectrum augmentations of MCJA: hue, weighted grayscale, channel cutmix and spectrum jitter of 8-bit images.

Random numbers are drawn for each image on the host; `weighted_gray`, `mix_boxes` and `jitter_spectrum` are pure
functions of these numbers and the images.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from vireid.core.errors import ArgumentError
from vireid.core.registries import AUGMENTATIONS
from vireid.core.types import Batch
from vireid.data.augment.color import copy_channels
from vireid.data.augment.jitter import rotate_hue
from vireid.data.augment.linear_enhancement import channel_weights
from vireid.data.augment.pixels import send, sides
from vireid.data.augment.thermal import blend
from vireid.data.augment.transforms import Augmentation, check_rectangles, checked_probability


class _SomeImages(Augmentation):
    """A change of 8-bit images that is applied to each image with a probability."""

    def __init__(self, probability: float) -> None:
        self.probability = checked_probability(probability)

    def color(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        drawn = (torch.rand(len(images), generator=generator) < self.probability).nonzero().squeeze(1)
        if not len(drawn):
            return images
        rows = send(drawn, images.device)
        images = images.clone()
        images[rows] = self.change(images[rows], generator)
        return images

    def change(self, images: Tensor, generator: Generator) -> Tensor:
        """Change all of these images: (B, 3, H, W) uint8 -> the same."""
        raise NotImplementedError


@AUGMENTATIONS.register
class HueJitter(_SomeImages):
    """Rotate the hue of each image by a random angle, in the 8-bit HSV of Pillow.

    Args:
        limit: Largest rotation as a share of a full turn, at most 0.5; the rotation is uniform in -limit .. limit.
        probability: Probability for each image.

    Source:
        MCJA (TCSVT 2024), released code: torchvision's ColorJitter of the hue alone, on Pillow images.
    """

    def __init__(self, *, limit: float = 0.2, probability: float = 0.5) -> None:
        if not 0 < limit <= 0.5:
            raise ArgumentError("limit", f"must be above 0 and at most 0.5, got {limit:g}")
        super().__init__(probability)
        self.limit = limit

    def change(self, images: Tensor, generator: Generator) -> Tensor:
        factor = 2 * torch.rand(len(images), generator=generator, dtype=torch.float64) - 1
        return rotate_hue(images, self.limit * factor)


def weighted_gray(images: Tensor, weights: Tensor) -> Tensor:
    """Replace all channels by a weighted sum of the channels, cut to an integer and computed in float64.

    Shape:
        images (B, 3, H, W) uint8 on any device, weights (B, 3) float64 on the CPU -> (B, 3, H, W) uint8, an expanded
        view
    """
    red, green, blue = images.double().unbind(dim=1)
    first, second, third = send(weights.double(), images.device).view(-1, 3, 1, 1).unbind(dim=1)
    gray = first * red + second * green + third * blue
    return gray.clamp(0, 255).to(torch.uint8).unsqueeze(1).expand_as(images)


@AUGMENTATIONS.register
class WeightedGrayscale(_SomeImages):
    """Replace all channels by a random weighted sum of the channels.

    The weights are three uniform numbers divided by their sum. `ModerateRLE` with concentration 1 has the same weights
    and does not cut the sums to integers.

    Args:
        probability: Probability for each image.

    Source:
        MCJA (TCSVT 2024), released code.
    """

    def __init__(self, *, probability: float = 0.5) -> None:
        super().__init__(probability)

    def change(self, images: Tensor, generator: Generator) -> Tensor:
        draws = torch.rand(len(images), 3, generator=generator, dtype=torch.float64)
        return weighted_gray(images, channel_weights(draws))


def mix_boxes(images: Tensor, boxes: Tensor, background: Tensor, patch: Tensor) -> Tensor:
    """Copy one channel of each image to all channels, and another one inside of a rectangle.

    Args:
        images: Images.
        boxes: Top, bottom, left, right, with bottom and right exclusive; what lies outside of the image is cut off.
        background: Channel outside of the rectangle.
        patch: Channel inside of the rectangle.

    Shape:
        images (B, 3, H, W) on any device, boxes (B, 4), background (B,), patch (B,) int64 on the CPU -> (B, 3, H, W)
    """
    top, bottom, left, right = boxes[:, :, None].unbind(dim=1)
    rows, columns = torch.arange(images.shape[-2]), torch.arange(images.shape[-1])
    down = send(((rows >= top) & (rows < bottom))[:, None, :, None], images.device)
    across = send(((columns >= left) & (columns < right))[:, None, None, :], images.device)
    return torch.where(down & across, copy_channels(images, patch), copy_channels(images, background))


@AUGMENTATIONS.register
class ChannelCutMix(_SomeImages):
    """Copy a random channel of an image to all channels, and another channel inside of a random rectangle.

    Up to 10 rectangles are drawn until one is smaller than the image on both sides; otherwise the image has no
    rectangle.

    Args:
        area: Range of the area of the rectangle, as a share of the image.
        aspect: Range of height / width, uniform on a logarithmic scale.
        released_sides: Repeat a defect of the release: height and width of the image are exchanged, and what lies
            outside of the image is cut off. On images of 384 x 192, the lower half has no rectangle then.
        probability: Probability for each image.

    Source:
        MCJA (TCSVT 2024), released code.

    Departs:
        Without `released_sides` the rectangle lies in the image. The release ends with an error if no rectangle fits.
    """

    tries = 10

    def __init__(
        self,
        *,
        area: tuple[float, float] = (0.02, 0.33),
        aspect: tuple[float, float] = (0.3, 3.3),
        released_sides: bool = False,
        probability: float = 0.5,
    ) -> None:
        check_rectangles(area, aspect)
        super().__init__(probability)
        self.area, self.aspect, self.released_sides = tuple(area), tuple(aspect), released_sides

    def boxes(self, count: int, size: tuple[int, int], generator: Generator) -> Tensor:
        """Draw rectangles: (count, 4) int64 top, bottom, left, right; all 0 if none fits."""
        height, width = reversed(size) if self.released_sides else size
        area, aspect = torch.rand(2, count, self.tries, generator=generator, dtype=torch.float64)
        corner = torch.rand(count, 2, generator=generator, dtype=torch.float64)
        area = (self.area[0] + area * (self.area[1] - self.area[0])) * (height * width)
        low, high = map(math.log, self.aspect)
        tall, wide, fits = sides(area, (low + aspect * (high - low)).exp(), (height, width))
        first = fits.int().argmax(dim=1, keepdim=True)  # of equal values the first
        tall, wide = tall.gather(1, first).squeeze(1), wide.gather(1, first).squeeze(1)
        top = (corner[:, 0] * (height - tall + 1)).floor().long()
        left = (corner[:, 1] * (width - wide + 1)).floor().long()
        box = torch.stack([top, top + tall, left, left + wide], dim=1)
        return torch.where(fits.any(dim=1)[:, None], box, 0)

    def change(self, images: Tensor, generator: Generator) -> Tensor:
        boxes = self.boxes(len(images), (images.shape[-2], images.shape[-1]), generator)
        background, patch, _ = torch.rand(len(images), 3, generator=generator).argsort(dim=1).unbind(dim=1)
        return mix_boxes(images, boxes, background, patch)


def jitter_spectrum(images: Tensor, channel: Tensor, factor: Tensor) -> Tensor:
    """Blend each image with one of its channels: channel + factor (image - channel), cut to integers.

    Shape:
        images (B, 3, H, W) uint8 on any device, channel (B,) int64, factor (B,) on the CPU -> (B, 3, H, W) uint8
    """
    return blend(images, copy_channels(images, channel).float(), factor)


@AUGMENTATIONS.register
class SpectrumJitter(_SomeImages):
    """Blend an image with one of its channels, by a random share.

    The channel and the share, uniform in 0 .. 1, are random. Share 1 keeps the image, share 0 leaves the channel only.

    Args:
        probability: Probability for each image.

    Source:
        MCJA (TCSVT 2024), released code.
    """

    def __init__(self, *, probability: float = 0.5) -> None:
        super().__init__(probability)

    def change(self, images: Tensor, generator: Generator) -> Tensor:
        channel = torch.randint(3, (len(images),), generator=generator)
        return jitter_spectrum(images, channel, torch.rand(len(images), generator=generator))
