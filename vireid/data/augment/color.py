"""Augmentations of colour: what a camera of another kind might have seen of the same light.

All but `RandomGrayscale` act on normalised values, as the releases do. Numbers are drawn for each image on the host;
`mix_channels`, `gray_boxes_` and `gray_pixels` are the mathematics, from drawn numbers to images.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from vireid.core.registries import AUGMENTATIONS
from vireid.core.types import Batch
from vireid.data.augment.transforms import Augmentation, RandomErasing, checked_probability, send

LUMA = (0.2989, 0.5870, 0.1140)  # of CAJ and MCE, applied to normalised values
GRAY, KEEP = 3, 4  # choices beside the three channels

_WEIGHTS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), LUMA, (0.0, 0.0, 0.0))


def mix_channels(images: Tensor, choice: Tensor) -> Tensor:
    """One channel of each image, or its brightness, in all three.

    Shapes: (B, 3, H, W) on any device, (B,) int64 on the CPU -> (B, 3, H, W) channels_last. Choices 0, 1, 2 are that
    channel, `GRAY` the luma of `LUMA`, `KEEP` leaves the image as it is.
    """
    weights = torch.tensor(_WEIGHTS, dtype=images.dtype)[choice].view(-1, 3, 1, 1)
    kept = send((choice == KEEP).view(-1, 1, 1, 1), images.device)
    grey = (images * send(weights, images.device)).sum(dim=1, keepdim=True)
    return torch.where(kept, images, grey).contiguous(memory_format=torch.channels_last)


@AUGMENTATIONS.register
class ChannelExchange(Augmentation):
    """A random channel of each image in all three; with `gray` its luma is a fourth choice. All equally probable.

    Source: CAJ (ICCV 2021), the second visible view, `gray` 2 there (3: with luma); MCE, the auxiliary view. In no
    choice does the image stay in colour.
    """

    def __init__(self, *, gray: bool = False) -> None:
        self.choices = 4 if gray else 3

    def paint(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        return mix_channels(images, torch.randint(self.choices, (len(images),), generator=generator))


@AUGMENTATIONS.register
class ChannelAdaptiveGray(Augmentation):
    """A random channel in all three, each with probability 1/4; otherwise the luma with `probability`, or no change.

    `probability` 0.5: each channel 1/4, luma 1/8, unchanged 1/8; 0: CAJ's form without grey (ChannelAdap).
    Source: CAJ (ICCV 2021) and MCE as released, infrared images.
    """

    def __init__(self, *, probability: float = 0.5) -> None:
        self.probability = checked_probability(probability)

    def paint(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        choice = torch.randint(4, (len(images),), generator=generator)
        kept = torch.rand(len(images), generator=generator) >= self.probability
        return mix_channels(images, choice.masked_fill((choice == GRAY) & kept, KEEP))


@AUGMENTATIONS.register
class RandomGrayscale(Augmentation):
    """The luma of the pixels in all three channels, each image with the given probability.

    Of the pixels, before normalisation, with the weights and the rounding of Pillow's conversion to "L".
    Source: torchvision's RandomGrayscale before the tensor, in CAJ+ (PAMI 2023, plain visible view) and DEEN.
    """

    def __init__(self, *, probability: float = 0.1) -> None:
        self.probability = checked_probability(probability)

    def colour(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        drawn = torch.rand(len(images), generator=generator) < self.probability
        rows = send(drawn.nonzero().squeeze(1), images.device)
        images = images.clone()
        images[rows] = gray_pixels(images[rows])
        return images


def gray_pixels(images: Tensor) -> Tensor:
    """What Pillow's conversion to "L" makes of them, three times: (B, 3, H, W) uint8 -> the same."""
    red, green, blue = images.int().unbind(dim=1)
    luma = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16
    return luma.to(torch.uint8).unsqueeze(1).expand_as(images)


@AUGMENTATIONS.register
class LocalGrayscale(RandomErasing):
    """The luma of a random rectangle of each image, in all three channels; the rest stays in colour.

    Rectangles as `RandomErasing`; `fill` has no effect. Source: the "random grayscale erasing" of the LLCM release.
    Departs: there the drawn top and left are exchanged, so that rectangles are cut off at the sides of tall images.
    """

    def __init__(
        self,
        *,
        probability: float = 0.5,
        area: tuple[float, float] = (0.02, 0.4),
        aspect: tuple[float, float] = (0.3, 1 / 0.3),
    ) -> None:
        super().__init__(probability=probability, area=area, aspect=aspect)

    def paint(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        return gray_boxes_(images, self.boxes(len(images), (images.shape[-2], images.shape[-1]), generator))


def gray_boxes_(images: Tensor, boxes: Tensor) -> Tensor:
    """Luma of one rectangle of each image, in place; returns the images.

    Shapes: (B, 3, H, W) on any device, (B, 4) on the CPU: top, bottom, left, right (bottom and right outside).
    """
    weights = send(torch.tensor(LUMA, dtype=images.dtype), images.device).view(3, 1, 1)
    for row, (top, bottom, left, right) in enumerate(boxes.tolist()):
        if bottom > top:
            patch = images[row, :, top:bottom, left:right]
            patch.copy_((patch * weights).sum(dim=0, keepdim=True).expand_as(patch))
    return images
