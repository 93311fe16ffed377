"""Augmentation of infrared images: random brightness and contrast, or Gaussian blur."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from vireid.core.errors import ArgumentError
from vireid.core.registries import AUGMENTATIONS
from vireid.core.types import Batch
from vireid.data.augment.color import gray_pixels
from vireid.data.augment.pixels import send
from vireid.data.augment.transforms import Augmentation


def blur(images: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    """Gaussian blur with a reflected border, rounded to gray values.

    Args:
        images: Images.
        sigma: Standard deviation of each image, in pixels.
        kernel: Odd width of the filter.

    Shape:
        images (B, 3, H, W) uint8 on any device, sigma (B,) on the CPU -> (B, 3, H, W) uint8
    """
    offsets = torch.arange(kernel, dtype=torch.float32) - (kernel - 1) / 2
    weights = (-0.5 * (offsets / sigma.float()[:, None]).square()).exp()
    weights = send(weights / weights.sum(dim=1, keepdim=True), images.device).repeat_interleave(3, dim=0)
    count, channels, height, width = images.shape
    rows, columns = (send(_reflected(size, kernel // 2), images.device) for size in (height, width))
    values = images.index_select(2, rows).index_select(3, columns).float()
    values = values.reshape(1, count * channels, len(rows), len(columns))
    values = F.conv2d(values, weights[:, None, :, None], groups=count * channels)
    values = F.conv2d(values, weights[:, None, None, :], groups=count * channels)
    return values.round().clamp(0, 255).to(torch.uint8).view(count, channels, height, width)


def _reflected(size: int, border: int) -> Tensor:
    """Source positions of a line with a reflected border on both sides: (size + 2 border,) int64."""
    period = max(1, 2 * (size - 1))
    positions = torch.arange(-border, size + border) % period
    return torch.minimum(positions, period - positions) if size > 1 else torch.zeros_like(positions)


def scale_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply gray values: (B, 3, H, W) uint8, (B,) on the CPU -> (B, 3, H, W) uint8."""
    return blend(images, torch.zeros((), device=images.device), factor)


def scale_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply differences from the mean luma of the image: (B, 3, H, W) uint8, (B,) on the CPU -> the same."""
    mean = gray_pixels(images)[:, :1].float().mean(dim=(2, 3), keepdim=True)
    return blend(images, (mean + 0.5).floor(), factor)


def blend(images: Tensor, base: Tensor, factor: Tensor) -> Tensor:
    """Compute base + factor (images - base), cut to 0 .. 255: (B, 3, H, W) uint8, base, (B,) on the CPU -> uint8."""
    factors = send(factor.float().view(-1, 1, 1, 1), images.device)
    return (base + factors * (images.float() - base)).clamp(0, 255).to(torch.uint8)


@AUGMENTATIONS.register
class JitterOrBlur(Augmentation):
    """Random brightness and contrast, or Gaussian blur: one of the two for each image, with equal probability.

    Intended for infrared images: `{NAME: JitterOrBlur, MODALITY: infrared}`. Brightness and contrast change in random
    order.

    Args:
        strength: Largest change of brightness and contrast; the factors are uniform in 1 - strength .. 1 + strength.
        kernel: Odd width of the blur filter in pixels.
        sigma: Range of the standard deviation of the blur in pixels, uniform.

    Source:
        PMT (AAAI 2023), released code: ColorJitter(0.3, 0.3) or GaussianBlur(21, (0.1, 3)) of torchvision.

    Departs:
        The released code works on Pillow images, before they become tensors; gray values differ by at most 1.
    """

    def __init__(self, *, strength: float = 0.3, kernel: int = 21, sigma: tuple[float, float] = (0.1, 3.0)) -> None:
        if not 0 <= strength <= 1:
            raise ArgumentError("strength", f"must be in 0 .. 1, got {strength}")
        if kernel < 1 or kernel % 2 == 0:
            raise ArgumentError("kernel", f"must be an odd number above 0, got {kernel}")
        if len(sigma) != 2 or not 0 < sigma[0] <= sigma[1]:
            raise ArgumentError("sigma", f"must be two numbers above 0, smallest first, got {list(sigma)}")
        self.strength, self.kernel, self.sigma = strength, kernel, tuple(sigma)

    def color(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        jittered, brightness_first = torch.rand(2, len(images), generator=generator) < 0.5
        low, high = 1 - self.strength, 1 + self.strength
        brightness, contrast = low + (high - low) * torch.rand(2, len(images), generator=generator)
        sigma = self.sigma[0] + (self.sigma[1] - self.sigma[0]) * torch.rand(len(images), generator=generator)
        images = images.clone()
        for first in (True, False):
            chosen = (jittered & (brightness_first == first)).nonzero().squeeze(1)
            if len(chosen):
                rows = send(chosen, images.device)
                changes = [(scale_brightness, brightness), (scale_contrast, contrast)]
                part = images[rows]
                for change, factor in changes if first else reversed(changes):
                    part = change(part, factor[chosen])
                images[rows] = part
        chosen = (~jittered).nonzero().squeeze(1)
        if len(chosen):
            rows = send(chosen, images.device)
            images[rows] = blur(images[rows], sigma[chosen], self.kernel)
        return images
