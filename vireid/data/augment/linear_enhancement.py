"""Random linear enhancement (RLE): change the channels of images linearly, before the normalization.

Random numbers are drawn for each image on the host; `mix_to_gray` and `scale_rectangles` are pure functions of these
numbers and the images. Nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch
from torch import Generator, Tensor

from vireid.core.errors import ArgumentError
from vireid.core.registries import AUGMENTATIONS
from vireid.core.rng import numpy_generator_from
from vireid.core.types import Batch
from vireid.data.augment.pixels import send, sides
from vireid.data.augment.transforms import Augmentation, check_rectangles, checked_probability

BLACK = 1e-6  # a channel of a rectangle whose maximum is not above this is not scaled

Law = Literal["beta", "dirichlet"]


def checked_concentration(value: float) -> float:
    """Return the value; ArgumentError if it is not above 0."""
    if not value > 0:
        raise ArgumentError("concentration", f"must be above 0, got {value}")
    return value


def _beta_weights(draws: np.random.Generator, count: int, concentration: float) -> np.ndarray:
    return draws.beta(concentration, concentration, (count, 3))


def _dirichlet_weights(draws: np.random.Generator, count: int, concentration: float) -> np.ndarray:
    return draws.standard_gamma(concentration, (count, 3))


WEIGHT_LAWS: Mapping[str, Callable[[np.random.Generator, int, float], np.ndarray]] = {
    "beta": _beta_weights,
    "dirichlet": _dirichlet_weights,
}


def channel_weights(draws: Tensor) -> Tensor:
    """Divide three numbers >= 0 by their sum: (B, 3) -> (B, 3); three zeros give equal weights."""
    total = draws.sum(dim=1, keepdim=True)
    return torch.where(total > 0, draws / total, 1 / 3)


def mix_to_gray(images: Tensor, weights: Tensor) -> Tensor:
    """Replace all channels of each image by a weighted sum of its channels.

    Shape:
        images (B, 3, H, W) in [0, 1] on any device, weights (B, 3) on the CPU -> (B, 3, H, W), an expanded view
    """
    red, green, blue = images.unbind(dim=1)
    first, second, third = send(weights.to(images.dtype), images.device).view(-1, 3, 1, 1).unbind(dim=1)
    return (red * first + green * second + blue * third).unsqueeze(1).expand_as(images)


@AUGMENTATIONS.register
class ModerateRLE(Augmentation):
    """Moderate random linear enhancement: replace all channels by a random weighted sum of the channels.

    Gray images, such as infrared ones, do not change.

    Args:
        probability: Probability for each image.
        concentration: Parameter a of the law. Below 1, most images are close to one channel.
        law: `beta`: three numbers of Beta(a, a), divided by their sum (with a = 1: uniform numbers, as in MCJA's
            weighted gray); `dirichlet`: Dirichlet(a, a, a) (MFENet: a = 1, visible images only).

    Source:
        Tan et al., "RLE: A Unified Perspective of Data Augmentation for Cross-Spectral Re-identification", NeurIPS
        2024. The weights of the published runs; the class of the release has 0.5 as its default.
    """

    def __init__(self, *, probability: float = 0.5, concentration: float = 0.3, law: Law = "beta") -> None:
        if law not in WEIGHT_LAWS:
            raise ArgumentError("law", f"must be one of {tuple(WEIGHT_LAWS)}, got {law!r}")
        self.probability, self.law = checked_probability(probability), law
        self.concentration = checked_concentration(concentration)

    def enhance(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        drawn = torch.rand(len(images), generator=generator) < self.probability
        numbers = WEIGHT_LAWS[self.law](numpy_generator_from(generator), len(images), self.concentration)
        weights = channel_weights(torch.from_numpy(numbers))[drawn]
        rows = send(drawn.nonzero().squeeze(1), images.device)
        images[rows] = mix_to_gray(images[rows], weights)
        return images


@AUGMENTATIONS.register
class RadicalRLE(Augmentation):
    """Radical random linear enhancement: scale each channel of random rectangles by a random factor.

    Rectangles are drawn one after another. In each, every channel is multiplied so that its maximum becomes a number
    drawn from Beta(a, a); factors of overlapping rectangles multiply. An image is finished when the product of the
    factors is below `floor` at some pixel of some channel, or after `rectangles` rectangles.

    Args:
        probability: Probability for each image.
        concentration: Parameter a of the Beta distribution.
        floor: Product of factors below which an image is finished.
        area: Range of the area of a rectangle, as a share of the image.
        aspect: Range of height / width.
        rectangles: Largest number of rectangles of an image.

    Source:
        RLE (NeurIPS 2024). The values of the published runs; the class of the release has concentration 0.5 and floor
        1e-6 as its defaults.

    Departs:
        The release stops after 100 tries, which may be 100 rectangles. 16 rectangles are nearly always enough:
        8 was the most in 3000 images. A channel that is black in a rectangle stays black; it becomes NaN in the
        release.
    """

    tries = 100

    def __init__(
        self,
        *,
        probability: float = 0.5,
        concentration: float = 0.4,
        floor: float = 0.1,
        area: tuple[float, float] = (0.02, 0.4),
        aspect: tuple[float, float] = (0.3, 1 / 0.3),
        rectangles: int = 16,
    ) -> None:
        check_rectangles(area, aspect)
        if not 0 <= floor <= 1:
            raise ArgumentError("floor", f"must be in 0 .. 1, got {floor}")
        if not 1 <= rectangles <= self.tries:
            raise ArgumentError("rectangles", f"must be in 1 .. {self.tries}, got {rectangles}")
        self.probability, self.concentration = checked_probability(probability), checked_concentration(concentration)
        self.floor, self.area, self.aspect, self.rectangles = floor, tuple(area), tuple(aspect), rectangles

    def candidates(self, count: int, size: tuple[int, int], generator: Generator) -> Tensor:
        """Draw rectangles in the order of their use.

        Shape:
            -> (count, rectangles, 4) int64: top, bottom, left, right, with bottom and right exclusive. The last ones
            are empty where too few of the 100 drawn ones are smaller than the image.
        """
        height, width = size
        area, aspect, down, across = torch.rand(4, count, self.tries, generator=generator, dtype=torch.float64)
        area = (self.area[0] + area * (self.area[1] - self.area[0])) * (height * width)
        tall, wide, fits = sides(area, self.aspect[0] + aspect * (self.aspect[1] - self.aspect[0]), size)
        fits &= (tall > 0) & (wide > 0)  # sides of tiny images are rounded to 0
        top, left = (down * (height - tall + 1)).floor().long(), (across * (width - wide + 1)).floor().long()
        boxes = torch.stack([top, top + tall, left, left + wide], dim=2).masked_fill(~fits[:, :, None], 0)
        order = torch.argsort(~fits, dim=1, stable=True)[:, : self.rectangles]
        return boxes.gather(1, order[:, :, None].expand(-1, -1, 4))

    def enhance(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        drawn = torch.rand(len(images), generator=generator) < self.probability
        boxes = self.candidates(len(images), (images.shape[-2], images.shape[-1]), generator)[drawn]
        shape = len(images), self.rectangles, 3
        peaks = torch.from_numpy(numpy_generator_from(generator).beta(self.concentration, self.concentration, shape))[
            drawn
        ]
        rows = send(drawn.nonzero().squeeze(1), images.device)
        images[rows], _ = scale_rectangles(images[rows], boxes, peaks, floor=self.floor)
        return images


def scale_rectangles(images: Tensor, boxes: Tensor, peaks: Tensor, *, floor: float) -> tuple[Tensor, Tensor]:
    """Scale the channels of rectangles one after another, until the product of factors is below `floor` somewhere.

    The sides of all rectangles of an image divide it into cells of constant factors. One pass finds the maximum of
    every cell, the rectangles are applied to this small table, and one pass multiplies the pixels.

    Args:
        images: Images.
        boxes: Candidates: top, bottom, left, right, with bottom and right exclusive; empty ones change nothing.
        peaks: Maximum that each channel gets in each rectangle.
        floor: Product of factors below which an image is finished.

    Returns:
        The changed images, and the number of rectangles used for each.

    Shape:
        images (B, 3, H, W) in [0, 1] on any device, boxes (B, T, 4) int64 and peaks (B, T, 3) on the CPU -> (B, 3, H,
        W), (B,) int64 on the device of the images
    """
    count, channels, height, width = images.shape
    rows, row_cells = (send(each, images.device) for each in _cells(boxes[..., 0], boxes[..., 1], height))
    columns, column_cells = (send(each, images.device) for each in _cells(boxes[..., 2], boxes[..., 3], width))
    maxima = _maximum_of_cells(images, rows, row_cells.shape[2], dim=2)
    maxima = _maximum_of_cells(maxima, columns, column_cells.shape[2], dim=3)

    exists = (boxes[..., 1] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 2])
    peaks, exists = send(peaks.to(images.dtype), images.device), send(exists, images.device)
    factors = torch.ones_like(maxima)
    unfinished = torch.ones(count, dtype=torch.bool, device=images.device)
    used = torch.zeros(count, dtype=torch.int64, device=images.device)
    for turn in range(boxes.shape[1]):
        inside = (row_cells[:, turn, :, None] & column_cells[:, turn, None, :]).unsqueeze(1)
        maximum = (maxima * factors).masked_fill(~inside, -torch.inf).amax(dim=(2, 3))
        scaled = unfinished[:, None] & (maximum > BLACK)
        scale = torch.where(scaled, peaks[:, turn] / maximum, 1.0)
        factors = torch.where(inside, factors * scale[:, :, None, None], factors)
        used += unfinished & exists[:, turn]
        unfinished = unfinished & (factors.amin(dim=(1, 2, 3)) >= floor)

    factors = factors.gather(2, rows[:, None, :, None].expand(-1, channels, -1, factors.shape[3]))
    factors = factors.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))
    return images * factors, used


def _maximum_of_cells(values: Tensor, cells: Tensor, number: int, *, dim: int) -> Tensor:
    """Maximum over the pixels of each cell along one side, -inf in cells without pixels.

    Shape:
        values (B, C, H, W), cells (B, H) for dim 2 or (B, W) for dim 3 -> H or W replaced by `number`
    """
    shape = list(values.shape)
    shape[dim] = number
    index = (cells[:, None, :, None] if dim == 2 else cells[:, None, None, :]).expand_as(values)
    return values.new_full(shape, -torch.inf).scatter_reduce_(dim, index, values, "amax")


def _cells(start: Tensor, stop: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Cell of each pixel of a side, and which cells lie in each rectangle.

    Shape:
        start (B, T), stop (B, T) int64 on the CPU -> (B, length) int64, (B, T, 2 T + 1) bool
    """
    edges = torch.cat([start, stop], dim=1).sort(dim=1).values
    pixels = torch.arange(length).expand(len(edges), length).contiguous()
    cells = torch.searchsorted(edges, pixels, right=True)
    first = torch.cat([torch.zeros_like(edges[:, :1]), edges], dim=1)
    end = torch.cat([edges, torch.full_like(edges[:, :1], length)], dim=1)
    inside = (first[:, None] >= start[:, :, None]) & (first[:, None] < stop[:, :, None])
    return cells, inside & (end > first)[:, None]
