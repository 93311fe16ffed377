"""Augmentation of whole uint8 batches on their device; every image gets its own draw.

Numbers are drawn on the CPU by a generator seeded from (seed, epoch, step, rank) and sent to the device, so that a
resumed run repeats the uninterrupted one and the device is never waited for. Augmentations that only move pixels are
composed into one map of source rows and columns, and one gather applies all of them; then come those that change the
colours of pixels; then the batch is normalised; then those that paint over values follow.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from vireid.core.registries import AUGMENTATIONS
from vireid.core.rng import torch_generator
from vireid.core.types import Batch, Modality

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_STREAM = 0xA06  # keeps these draws apart from others that are seeded by the same (seed, epoch, step, rank)


@functools.lru_cache(maxsize=32)
def _scale_and_shift(width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Factors of one image row in NHWC order, (3 W,): full vectors are much quicker than broadcasting over channels."""
    mean, std = torch.tensor(IMAGENET_MEAN, dtype=torch.float64), torch.tensor(IMAGENET_STD, dtype=torch.float64)
    scale, shift = 1 / (255 * std), -mean / std
    return scale.float().repeat(width).to(device), shift.float().repeat(width).to(device)


def normalise(images: Tensor) -> Tensor:
    """uint8 to ImageNet's mean 0 and deviation 1 by channel.

    Shapes: (B, 3, H, W) uint8 in any memory order -> the same, float32, channels_last. The input is not changed.
    One multiply-add instead of the usual divide, subtract, divide: equal to 1e-6.
    """
    rows = images.permute(0, 2, 3, 1)
    batch, height, width, channels = rows.shape
    scale, shift = _scale_and_shift(width, images.device)
    values = rows.reshape(batch * height, width * channels).to(torch.float32, copy=True)
    torch.addcmul(shift, values, scale, out=values)
    return values.view(batch, height, width, channels).permute(0, 3, 1, 2)


class Augmentation:
    """One step of `Augment`: overrides `locate`, `colour` or `paint`; what is not overridden changes nothing."""

    outside: int | None = None  # grey, 0 .. 255, of the pixels that `locate` takes from outside the image, if it does

    def locate(
        self, rows: Tensor, columns: Tensor, *, size: tuple[int, int], generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Say from which source row and column each output row and column comes; outside the image is `outside`.

        Shapes: (B, H), (B, W) int64 on the CPU -> the same. `size` is (H, W). Draws one set of numbers for each image.
        """
        return rows, columns

    def colour(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        """Change pixels before they are normalised: (B, 3, H, W) uint8 -> new images of the same form."""
        return images

    def paint(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        """Change normalised values: (B, 3, H, W) float32 channels_last -> the same; may work in place."""
        return images


def checked_probability(value: float) -> float:
    """The value, or ValueError where it is no probability."""
    if not 0 <= value <= 1:
        raise ValueError(f"probability must be in 0 .. 1, got {value}")
    return value


@AUGMENTATIONS.register
class PadCrop(Augmentation):
    """Add `padding` pixels on every side, then cut the original size out at a random place.

    They are black before normalisation, as most releases have it, or another grey: `fill` 0 .. 255, 127 in MPANet.
    """

    def __init__(self, *, padding: int = 10, fill: int = 0) -> None:
        if padding < 0:
            raise ValueError(f"padding must be at least 0, got {padding}")
        if not 0 <= fill <= 255:
            raise ValueError(f"fill must be a grey of 0 .. 255, got {fill}")
        self.padding, self.outside = padding, fill

    def locate(
        self, rows: Tensor, columns: Tensor, *, size: tuple[int, int], generator: Generator
    ) -> tuple[Tensor, Tensor]:
        shift = torch.randint(-self.padding, self.padding + 1, (len(rows), 2), generator=generator)
        return rows + shift[:, :1], columns + shift[:, 1:]


@AUGMENTATIONS.register
class HorizontalFlip(Augmentation):
    """Mirror left and right, each image with the given probability."""

    def __init__(self, *, probability: float = 0.5) -> None:
        self.probability = checked_probability(probability)

    def locate(
        self, rows: Tensor, columns: Tensor, *, size: tuple[int, int], generator: Generator
    ) -> tuple[Tensor, Tensor]:
        flipped = torch.rand(len(rows), 1, generator=generator) < self.probability
        return rows, torch.where(flipped, columns.flip(1), columns)


@AUGMENTATIONS.register
class RandomErasing(Augmentation):
    """Paint a random rectangle of each image, after normalisation.

    `area` is the range of the rectangle's share of the image, `aspect` that of height / width: drawn evenly, as most
    releases do, or evenly on a logarithmic scale (`log_aspect`, torchvision's own RandomErasing, which MPANet uses).
    `fill` is in normalised space: zeros (the mean colour; the LLCM release of AGW), ImageNet's mean triplet
    (0.485, 0.456, 0.406), which the MMD-ReID fork and DEEN write there, or (0.4914, 0.4822, 0.4465) (CAJ's "channel
    random erasing", MCLNet, MCE).
    Up to 100 rectangles are tried until one is smaller than the image on both sides; with none the image stays.
    """

    tries = 100

    def __init__(
        self,
        *,
        probability: float = 0.5,
        area: tuple[float, float] = (0.02, 0.4),
        aspect: tuple[float, float] = (0.3, 1 / 0.3),
        fill: tuple[float, float, float] = (0.0, 0.0, 0.0),
        log_aspect: bool = False,
    ) -> None:
        self.probability, self.log_aspect = checked_probability(probability), log_aspect
        self.area, self.aspect, self.fill = tuple(area), tuple(aspect), tuple(fill)
        if len(self.area) != 2 or not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"area must be two numbers, smallest first, above 0 and at most 1, got {list(area)}")
        if len(self.aspect) != 2 or not 0 < self.aspect[0] <= self.aspect[1]:
            raise ValueError(f"aspect must be two numbers above 0, smallest first, got {list(aspect)}")
        if len(self.fill) != 3:
            raise ValueError(f"fill must be three numbers, one for each channel, got {list(fill)}")

    def boxes(self, count: int, size: tuple[int, int], generator: Generator) -> Tensor:
        """(count, 4) int64: top, bottom, left, right of each rectangle; top = bottom where nothing is erased."""
        height, width = size

        def draw(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, dtype=torch.float64)

        erased = draw(count) < self.probability
        area = (self.area[0] + draw(count, self.tries) * (self.area[1] - self.area[0])) * (height * width)
        low, high = map(math.log, self.aspect) if self.log_aspect else self.aspect
        aspect = low + draw(count, self.tries) * (high - low)
        aspect = aspect.exp() if self.log_aspect else aspect
        place = draw(count, 2)
        tall, wide, fits = sides(area, aspect, size)
        first = fits.int().argmax(dim=1, keepdim=True)  # of equal values the first
        tall, wide = tall.gather(1, first).squeeze(1), wide.gather(1, first).squeeze(1)
        top = (place[:, 0] * (height - tall + 1)).floor().long()
        left = (place[:, 1] * (width - wide + 1)).floor().long()
        box = torch.stack([top, top + tall, left, left + wide], dim=1)
        return torch.where((erased & fits.any(dim=1))[:, None], box, 0)

    def paint(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        size = images.shape[-2], images.shape[-1]
        return erase_(images, self.boxes(len(images), size, generator), self.fill)


def sides(area: Tensor, aspect: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Height and width in whole pixels of rectangles of an area (in pixels) and height / width; whether they fit.

    Shapes: (...), (...) float64 -> int64, int64, bool of the same shape. Halves are rounded to the even neighbour.
    """
    tall, wide = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    return tall, wide, (tall < size[0]) & (wide < size[1])


def erase_(images: Tensor, boxes: Tensor, fill: Sequence[float]) -> Tensor:
    """Fill one rectangle of each image, in place; returns the images.

    Shapes: (B, 3, H, W) channels_last on any device, (B, 4) on the CPU: top, bottom, left, right (bottom and right
    outside). Slices and not a mask: the numbers are known here, and a mask of the whole batch takes many times longer.
    """
    values = images.permute(0, 2, 3, 1)
    batch, height, width, channels = values.shape
    values = values.view(batch, height, width * channels)
    colour = _colour_row(tuple(fill), width, images.device, images.dtype)
    for row, (top, bottom, left, right) in enumerate(boxes.tolist()):
        if bottom > top:
            values[row, top:bottom, channels * left : channels * right] = colour[: channels * (right - left)]
    return images


@functools.lru_cache(maxsize=32)
def _colour_row(fill: tuple[float, ...], width: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.tensor(fill, dtype=dtype).repeat(width).to(device)


def send(values: Tensor, device: torch.device) -> Tensor:
    """To the device without waiting for it: page-locked memory first, which CUDA needs for that."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def gather_pixels(images: Tensor, rows: Tensor, columns: Tensor, *, outside: int | Tensor = 0) -> Tensor:
    """Build each image from the given source rows and columns; what lies outside the source has the value `outside`.

    Shapes: (B, 3, H, W), (B, H'), (B, W') int64 on the CPU -> (B, 3, H', W') channels_last. `outside` is one number,
    or one for each image, (B,) on the CPU.
    """
    source = images.permute(0, 2, 3, 1)
    batch, height, width, channels = source.shape
    bordered = source.new_empty(batch, height + 1, width + 1, channels)  # one row and column to point at
    border = send(outside.view(-1, 1, 1).to(source.dtype), images.device) if isinstance(outside, Tensor) else outside
    bordered[:, height], bordered[:, :, width] = border, border
    bordered[:, :height, :width] = source
    rows = torch.where((rows < 0) | (rows >= height), height, rows)
    columns = torch.where((columns < 0) | (columns >= width), width, columns)
    starts = (torch.arange(batch)[:, None] * (height + 1) + rows) * (width + 1)
    kind = torch.int32 if bordered.numel() < 2**31 else torch.int64
    starts, columns = send(starts.to(kind), images.device), send(columns.to(kind), images.device)
    pixels = (starts[:, :, None] + columns[:, None, :]).flatten()
    picked = bordered.view(-1, channels).index_select(0, pixels)
    return picked.view(batch, rows.shape[1], columns.shape[1], channels).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class RowFilter:
    """Which rows of a batch a step is for; None: any."""

    modality: Modality | None = None
    view: int | None = None

    def meets(self, other: RowFilter) -> bool:
        """Whether there can be a row that both are for."""
        mine, theirs = (self.modality, self.view), (other.modality, other.view)
        return all(a is None or b is None or a == b for a, b in zip(mine, theirs))

    def rows(self, modality: Tensor, view: Tensor) -> Tensor | slice:
        """Numbers of these rows: a slice where they lie side by side, as in a loader's batches they do.

        Shapes: (B,), (B,) int64 on the CPU -> (N,) int64 on the CPU.
        """
        chosen = torch.ones_like(modality, dtype=torch.bool)
        if self.modality is not None:
            chosen &= modality == self.modality
        if self.view is not None:
            chosen &= view == self.view
        numbers = chosen.nonzero().squeeze(1)
        if len(numbers) and int(numbers[-1] - numbers[0]) == len(numbers) - 1:
            return slice(int(numbers[0]), int(numbers[-1]) + 1)
        return numbers


class Augment:
    """All augmentations of a training run, in order, then ready for the model.

    `augment(batch, epoch=, step=, rank=)` takes a Batch of uint8 images on any device and returns one of float32
    normalised channels_last images there. A pure function of (seed, epoch, step, rank) and the batch. `only` limits
    steps of these names to some of the rows; the others neither change nor take a draw.
    """

    def __init__(
        self, steps: Mapping[str, Augmentation], *, seed: int, only: Mapping[str, RowFilter] | None = None
    ) -> None:
        self.steps, self.seed, self.only = dict(steps), seed, dict(only or {})
        assert set(self.only) <= set(self.steps), "a step that is not there cannot be limited"
        moving = [(self.only.get(name, RowFilter()), step.outside) for name, step in self.steps.items()]
        moving = [(limit, grey) for limit, grey in moving if grey is not None]
        greys = {(a, b) for (here, a), (there, b) in itertools.combinations(moving, 2) if here.meets(there) and a != b}
        if greys:
            first = sorted(greys.pop())
            raise ValueError(f"steps that move pixels must agree on what lies outside an image, got {first}")

    @torch.no_grad()
    def __call__(self, batch: Batch, *, epoch: int, step: int, rank: int = 0) -> Batch:
        generator = torch_generator(self.seed, epoch, step, rank, _STREAM)
        chosen = {name: only.rows(*batch.host_columns()) for name, only in self.only.items()}
        chosen = {name: rows for name, rows in chosen.items() if not _all(rows, len(batch))}
        size = batch.images.shape[-2], batch.images.shape[-1]
        rows, columns = (torch.arange(length).expand(len(batch), length) for length in size)
        home = rows, columns
        for name, each in self.steps.items():
            if name not in chosen:
                rows, columns = each.locate(rows, columns, size=size, generator=generator)
                continue
            some = chosen[name]
            moved = each.locate(rows[some], columns[some], size=size, generator=generator)
            rows, columns = (_with(whole, some, part) for whole, part in zip((rows, columns), moved))
        images = batch.images
        if rows is not home[0] or columns is not home[1]:
            images = gather_pixels(images, rows, columns, outside=self._outside(len(batch), chosen))
        images = self._apply("colour", images, batch, chosen, generator)
        return batch.with_images(self._apply("paint", normalise(images), batch, chosen, generator))

    def _outside(self, count: int, chosen: Mapping[str, Tensor | slice]) -> int | Tensor:
        """The grey that lies outside all images, or (B,) outside each."""
        steps = {name: step.outside for name, step in self.steps.items() if step.outside is not None}
        if len(set(steps.values())) < 2:
            return next(iter(steps.values()), 0)
        greys = torch.zeros(count, dtype=torch.uint8)
        for name, grey in steps.items():
            greys[chosen.get(name, slice(None))] = grey
        return greys

    def _apply(
        self, hook: str, images: Tensor, batch: Batch, chosen: Mapping[str, Tensor | slice], generator: Generator
    ) -> Tensor:
        """One hook of all steps in turn, each on the rows that it is for."""
        for name, each in self.steps.items():
            if getattr(type(each), hook) is getattr(Augmentation, hook):
                continue
            change = getattr(each, hook)
            if name not in chosen:
                images = change(images, batch, generator=generator)
                continue
            rows = chosen[name]
            rows = send(rows, images.device) if isinstance(rows, Tensor) else rows
            part = batch.with_images(images).select(rows)
            changed = change(part.images, part, generator=generator)
            images = images.clone() if images is batch.images else images
            images[rows] = changed
        return images


def _all(rows: Tensor | slice, count: int) -> bool:
    return rows == slice(0, count) if isinstance(rows, slice) else False


def _with(whole: Tensor, rows: Tensor | slice, part: Tensor) -> Tensor:
    changed = whole.clone()
    changed[rows] = part
    return changed
