"""Color augmentations: channel exchange, channel copy and grayscale.

All but `ChannelCopy` and `RandomGrayscale` act on normalized values, as in the releases. Random numbers are drawn for
each image on the host; `mix_channels`, `copy_channels`, `gray_boxes_` and `gray_pixels` are pure functions of these
numbers and the images.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from vireid.core.registries import AUGMENTATIONS
from vireid.core.types import Batch
from vireid.data.augment.pixels import send
from vireid.data.augment.transforms import Augmentation, RandomErasing, checked_probability

LUMA = (0.2989, 0.5870, 0.1140)  # of CAJ and MCE, applied to normalized values
GRAY, KEEP = 3, 4  # choices in addition to the three channels

_WEIGHTS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), LUMA, (0.0, 0.0, 0.0))


def mix_channels(images: Tensor, choice: Tensor) -> Tensor:
    """Copy one channel of each image, or its luma, to all three channels.

    Args:
        images: Images.
        choice: 0, 1, 2: that channel; `GRAY`: the luma by `LUMA`; `KEEP`: the unchanged image.

    Shape:
        images (B, 3, H, W) on any device, choice (B,) int64 on the CPU -> (B, 3, H, W) channels_last
    """
    weights = torch.tensor(_WEIGHTS, dtype=images.dtype)[choice].view(-1, 3, 1, 1)
    kept = send((choice == KEEP).view(-1, 1, 1, 1), images.device)
    gray = (images * send(weights, images.device)).sum(dim=1, keepdim=True)
    return torch.where(kept, images, gray).contiguous(memory_format=torch.channels_last)


@AUGMENTATIONS.register
class ChannelExchange(Augmentation):
    """Channel exchange: copy a random channel of each image to all three channels.

    Args:
        gray: Whether the luma is a fourth choice. All choices are equally probable; none keeps the colors.

    Source:
        Ye et al., "Channel Augmented Joint Learning for Visible-Infrared Recognition" (CAJ), ICCV 2021, the second
        visible view, `gray` 2 in the release (3: with luma); MCE, the auxiliary view.
    """

    def __init__(self, *, gray: bool = False) -> None:
        self.choices = 4 if gray else 3

    def paint(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        return mix_channels(images, torch.randint(self.choices, (len(images),), generator=generator))


@AUGMENTATIONS.register
class ChannelAdaptiveGray(Augmentation):
    """Copy a random channel to all three, each with probability 1/4; otherwise the luma, or no change.

    Args:
        probability: Probability of the luma in the remaining quarter. 0.5: each channel 1/4, luma 1/8, unchanged 1/8;
            0: CAJ's form without gray (ChannelAdap).

    Source:
        CAJ (ICCV 2021) and MCE as released, for infrared images.
    """

    def __init__(self, *, probability: float = 0.5) -> None:
        self.probability = checked_probability(probability)

    def paint(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        choice = torch.randint(4, (len(images),), generator=generator)
        kept = torch.rand(len(images), generator=generator) >= self.probability
        return mix_channels(images, choice.masked_fill((choice == GRAY) & kept, KEEP))


def copy_channels(images: Tensor, choice: Tensor) -> Tensor:
    """Copy one channel of each image to all three channels, without arithmetic.

    Args:
        images: Images of any type.
        choice: 0, 1, 2: that channel; `KEEP`: the unchanged image.

    Shape:
        images (B, 3, H, W) on any device, choice (B,) int64 on the CPU -> (B, 3, H, W) channels_last
    """
    kept = (choice == KEEP).unsqueeze(1)
    sources = send(torch.where(kept, torch.arange(3), choice.unsqueeze(1)), images.device)
    copied = images.gather(1, sources[:, :, None, None].expand_as(images))
    return copied.contiguous(memory_format=torch.channels_last)


@AUGMENTATIONS.register
class ChannelCopy(Augmentation):
    """Copy a random channel of an image to all three channels before the normalization.

    The normalized channels differ by the mean and standard deviation of each channel, unlike those of
    `ChannelExchange`.

    Args:
        probability: Probability for each image; the three channels are equally probable.

    Source:
        SAAI (ICCV 2023), released code: each channel with probability 1/11, for images of both modalities.
    """

    def __init__(self, *, probability: float = 3 / 11) -> None:
        self.probability = checked_probability(probability)

    def color(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        channel = torch.randint(3, (len(images),), generator=generator)
        kept = torch.rand(len(images), generator=generator) >= self.probability
        return copy_channels(images, channel.masked_fill(kept, KEEP))


@AUGMENTATIONS.register
class RandomGrayscale(Augmentation):
    """Random grayscale: copy the luma of the pixels to all three channels.

    The luma is computed before the normalization, with the weights and the rounding of Pillow's conversion to "L".

    Args:
        probability: Probability for each image.

    Source:
        torchvision's RandomGrayscale on PIL images, in CAJ+ (PAMI 2023, plain visible view) and DEEN.
    """

    def __init__(self, *, probability: float = 0.1) -> None:
        self.probability = checked_probability(probability)

    def color(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        drawn = torch.rand(len(images), generator=generator) < self.probability
        rows = send(drawn.nonzero().squeeze(1), images.device)
        images = images.clone()
        images[rows] = gray_pixels(images[rows])
        return images


def gray_pixels(images: Tensor) -> Tensor:
    """Convert to gray like Pillow's mode "L", in three equal channels: (B, 3, H, W) uint8 -> the same."""
    red, green, blue = images.int().unbind(dim=1)
    luma = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16
    return luma.to(torch.uint8).unsqueeze(1).expand_as(images)


@AUGMENTATIONS.register
class LocalGrayscale(RandomErasing):
    """Local grayscale: copy the luma of a random rectangle of each image to all three channels.

    Args:
        probability: Probability for each image.
        area: Range of the area of the rectangle, as a share of the image.
        aspect: Range of height / width.

    Source:
        The "random grayscale erasing" of the LLCM release.

    Departs:
        In the release top and left are exchanged, so that rectangles are cut off at the sides of tall images.
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
    """Convert one rectangle of each image to its luma in place and return the images.

    Shape:
        images (B, 3, H, W) on any device, boxes (B, 4) on the CPU: top, bottom, left, right, with bottom and right
        exclusive -> images
    """
    weights = send(torch.tensor(LUMA, dtype=images.dtype), images.device).view(3, 1, 1)
    for row, (top, bottom, left, right) in enumerate(boxes.tolist()):
        if bottom > top:
            patch = images[row, :, top:bottom, left:right]
            patch.copy_((patch * weights).sum(dim=0, keepdim=True).expand_as(patch))
    return images
