"""Augment uint8 batches on their device, with separate random numbers for each image.

Random numbers are drawn on the CPU by a generator seeded from (seed, epoch, step, rank) and copied to the device, so
that a resumed run repeats the uninterrupted one and no step waits for the device. Augmentations that only move pixels
are composed into one map of source rows and columns, which one gather applies. Augmentations of color follow, then
augmentations of values in [0, 1], then the normalization, then augmentations of normalized values.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from vireid.core.errors import ArgumentError
from vireid.core.registries import AUGMENTATIONS
from vireid.core.rng import torch_generator
from vireid.core.types import Batch, Modality
from vireid.data.augment.pixels import erase_, erase_with_noise_, gather_pixels, normalize, send, sides

_STREAM = 0xA06  # key of these draws; others use the same (seed, epoch, step, rank)


class Augmentation:
    """One step of `Augment`. Subclasses override `locate`, `color`, `enhance` or `paint`; the defaults change nothing.

    Attributes:
        outside: Gray value, 0 .. 255, of pixels that `locate` takes from outside of the image; None if it takes none.
        whole_batch: Whether the step reads rows of both modalities, so that it cannot be limited to some rows.
    """

    outside: int | None = None
    whole_batch: bool = False

    def locate(
        self, rows: Tensor, columns: Tensor, *, size: tuple[int, int], generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Move pixels: return the source row and column of each output row and column.

        Args:
            rows: Source rows so far.
            columns: Source columns so far.
            size: (H, W) of the images; rows and columns outside of it have the gray value `outside`.
            generator: Source of the random numbers, one set for each image.

        Shape:
            rows (B, H), columns (B, W) int64 on the CPU -> the same
        """
        return rows, columns

    def color(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        """Change pixels before the normalization: (B, 3, H, W) uint8 -> new images of the same shape."""
        return images

    def enhance(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        """Change values in [0, 1] before the normalization: (B, 3, H, W) float32 channels_last -> the same.

        May work in place. The order of a config is kept within this hook; every `paint` follows.
        """
        return images

    def paint(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        """Change normalized values: (B, 3, H, W) float32 channels_last -> the same; may work in place."""
        return images

    def __init_subclass__(cls) -> None:
        """Refuse a subclass that overrides a hook by its former name, which nothing calls."""
        super().__init_subclass__()
        if hasattr(cls, "colour"):
            raise TypeError(f"{cls.__name__} overrides `colour`, which is called `color` now: rename the method")


def checked_probability(value: float) -> float:
    """Return the value; ArgumentError if it is not in [0, 1]."""
    if not 0 <= value <= 1:
        raise ArgumentError("probability", f"must be in 0 .. 1, got {value}")
    return value


def check_rectangles(area: Sequence[float], aspect: Sequence[float]) -> None:
    """Check the ranges of random rectangles: ArgumentError unless both are two numbers in order."""
    if len(area) != 2 or not 0 < area[0] <= area[1] <= 1:
        raise ArgumentError("area", f"must be two numbers, smallest first, above 0 and at most 1, got {list(area)}")
    if len(aspect) != 2 or not 0 < aspect[0] <= aspect[1]:
        raise ArgumentError("aspect", f"must be two numbers above 0, smallest first, got {list(aspect)}")


@AUGMENTATIONS.register
class PadCrop(Augmentation):
    """Random crop: pad every side, then cut the original size out at a random position.

    Args:
        padding: Pixels on every side.
        fill: Gray value of the padding before the normalization, 0 .. 255: black in most releases, 127 in MPANet.
        mirror: Pad with the mirrored image, whose border pixels are repeated, as in SAAI; `fill` must stay 0.
    """

    def __init__(self, *, padding: int = 10, fill: int = 0, mirror: bool = False) -> None:
        if padding < 0:
            raise ArgumentError("padding", f"must be at least 0, got {padding}")
        if not 0 <= fill <= 255:
            raise ArgumentError("fill", f"must be a gray value in 0 .. 255, got {fill}")
        if mirror and fill:
            raise ArgumentError("fill", f"is not used with mirror: leave it out or set mirror: false, got {fill}")
        self.padding, self.mirror = padding, mirror
        self.outside = None if mirror else fill

    def locate(
        self, rows: Tensor, columns: Tensor, *, size: tuple[int, int], generator: Generator
    ) -> tuple[Tensor, Tensor]:
        shift = torch.randint(-self.padding, self.padding + 1, (len(rows), 2), generator=generator)
        rows, columns = rows + shift[:, :1], columns + shift[:, 1:]
        return (_mirrored(rows, size[0]), _mirrored(columns, size[1])) if self.mirror else (rows, columns)


def _mirrored(positions: Tensor, length: int) -> Tensor:
    """Positions in an image that continues as its mirror image beyond both borders."""
    positions = positions % (2 * length)
    return torch.minimum(positions, 2 * length - 1 - positions)


@AUGMENTATIONS.register
class HorizontalFlip(Augmentation):
    """Mirror left and right.

    Args:
        probability: Probability for each image.
    """

    def __init__(self, *, probability: float = 0.5) -> None:
        self.probability = checked_probability(probability)

    def locate(
        self, rows: Tensor, columns: Tensor, *, size: tuple[int, int], generator: Generator
    ) -> tuple[Tensor, Tensor]:
        flipped = torch.rand(len(rows), 1, generator=generator) < self.probability
        return rows, torch.where(flipped, columns.flip(1), columns)


@AUGMENTATIONS.register
class RandomErasing(Augmentation):
    """Random erasing: fill a random rectangle of each image, after the normalization.

    Up to 100 rectangles are drawn until one is smaller than the image on both sides; otherwise the image is unchanged.

    Args:
        probability: Probability for each image.
        area: Range of the area of the rectangle, as a share of the image.
        aspect: Range of height / width.
        fill: Normalized value of each channel: zeros (the mean color; the LLCM release of AGW), ImageNet's mean
            (0.485, 0.456, 0.406), which the MMD-ReID fork and DEEN use, or (0.4914, 0.4822, 0.4465) (CAJ's "channel
            random erasing", MCLNet, MCE).
        log_aspect: Whether the aspect is uniform on a logarithmic scale, as in torchvision's RandomErasing, which
            MPANet uses. Most releases draw it uniformly.
        noise: Fill with a number from N(0, 1) for each pixel and channel, as in SAAI, in place of `fill`.

    Source:
        Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.
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
        noise: bool = False,
    ) -> None:
        self.probability, self.log_aspect, self.noise = checked_probability(probability), log_aspect, noise
        self.area, self.aspect, self.fill = tuple(area), tuple(aspect), tuple(fill)
        check_rectangles(self.area, self.aspect)
        if len(self.fill) != 3:
            raise ArgumentError("fill", f"must be three numbers, one for each channel, got {list(fill)}")
        if noise and any(fill):
            raise ArgumentError("fill", f"is not used with noise: leave it out or set noise: false, got {list(fill)}")

    def boxes(self, count: int, size: tuple[int, int], generator: Generator) -> Tensor:
        """Draw rectangles: (count, 4) int64 top, bottom, left, right; top = bottom if nothing is erased."""
        height, width = size

        def draw(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, dtype=torch.float64)

        erased = draw(count) < self.probability
        area = (self.area[0] + draw(count, self.tries) * (self.area[1] - self.area[0])) * (height * width)
        low, high = map(math.log, self.aspect) if self.log_aspect else self.aspect
        aspect = low + draw(count, self.tries) * (high - low)
        aspect = aspect.exp() if self.log_aspect else aspect
        corner = draw(count, 2)
        tall, wide, fits = sides(area, aspect, size)
        first = fits.int().argmax(dim=1, keepdim=True)  # of equal values the first
        tall, wide = tall.gather(1, first).squeeze(1), wide.gather(1, first).squeeze(1)
        top = (corner[:, 0] * (height - tall + 1)).floor().long()
        left = (corner[:, 1] * (width - wide + 1)).floor().long()
        box = torch.stack([top, top + tall, left, left + wide], dim=1)
        return torch.where((erased & fits.any(dim=1))[:, None], box, 0)

    def paint(self, images: Tensor, batch: Batch, *, generator: Generator) -> Tensor:
        boxes = self.boxes(len(images), (images.shape[-2], images.shape[-1]), generator)
        return erase_with_noise_(images, boxes, generator) if self.noise else erase_(images, boxes, self.fill)


@dataclass(frozen=True)
class RowFilter:
    """Rows of a batch that an augmentation applies to, and the epochs in which it does.

    Args:
        modality: Modality of the rows; None: both.
        view: View of the rows; None: all.
        start: First epoch, from 0.
        stop: First epoch without the augmentation; None: it stays to the end.

    Raises:
        ArgumentError: If there is no epoch from `start` to the one before `stop`.
    """

    modality: Modality | None = None
    view: int | None = None
    start: int = 0
    stop: int | None = None

    def __post_init__(self) -> None:
        if self.stop is not None and self.stop <= self.start:
            raise ArgumentError("stop", f"must be above start ({self.start}), got {self.stop}")

    def active(self, epoch: int) -> bool:
        """Whether the augmentation is used in this epoch."""
        return self.start <= epoch and (self.stop is None or epoch < self.stop)

    def overlaps(self, other: RowFilter) -> bool:
        """Whether a row can match both filters."""
        pairs = ((self.modality, other.modality), (self.view, other.view))
        return all(a is None or b is None or a == b for a, b in pairs)

    def rows(self, modality: Tensor, view: Tensor) -> Tensor | slice:
        """Return the numbers of the matching rows: a slice if they are contiguous, as in the batches of the loader.

        Shape:
            modality (B,), view (B,) int64 on the CPU -> (N,) int64 on the CPU
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
    """Apply all augmentations of a training run in order, and normalize.

    `augment(batch, epoch=, step=, rank=)` takes a Batch of uint8 images on any device and returns one of normalized
    float32 channels_last images there. It is a pure function of (seed, epoch, step, rank) and the batch.

    Args:
        steps: Name -> augmentation.
        seed: Random seed.
        only: Name of a step -> rows that it applies to; for other rows nothing is changed or drawn.

    Raises:
        ArgumentError: If steps that move pixels of the same rows have different gray values outside of the image, or a
            step that reads rows of both modalities is limited to one modality or view.
    """

    def __init__(
        self, steps: Mapping[str, Augmentation], *, seed: int, only: Mapping[str, RowFilter] | None = None
    ) -> None:
        self.steps, self.seed, self.only = dict(steps), seed, dict(only or {})
        assert set(self.only) <= set(self.steps), "only names an unknown step"
        for name, rows in self.only.items():
            if self.steps[name].whole_batch and (rows.modality is not None or rows.view is not None):
                text = f"read rows of both modalities in {name}: remove MODALITY and VIEW there; TARGET limits its rows"
                raise ArgumentError("steps", text)
        moving = [(self.only.get(name, RowFilter()), step.outside) for name, step in self.steps.items()]
        moving = [(rows, gray) for rows, gray in moving if gray is not None]
        for (rows, gray), (other_rows, other_gray) in itertools.combinations(moving, 2):
            if gray != other_gray and rows.overlaps(other_rows):
                pair = sorted((gray, other_gray))
                raise ArgumentError("steps", f"that move pixels must have one gray value outside of images, got {pair}")

    @torch.no_grad()
    def __call__(self, batch: Batch, *, epoch: int, step: int, rank: int = 0) -> Batch:
        generator = torch_generator(self.seed, epoch, step, rank, _STREAM)
        keys, none = batch.host_columns(), torch.arange(0)
        chosen = {name: only.rows(*keys) if only.active(epoch) else none for name, only in self.only.items()}
        chosen = {name: rows for name, rows in chosen.items() if not _all(rows, len(batch))}
        size = batch.images.shape[-2], batch.images.shape[-1]
        rows, columns = (torch.arange(length).expand(len(batch), length) for length in size)
        identity = rows, columns
        for name, each in self.steps.items():
            if name not in chosen:
                rows, columns = each.locate(rows, columns, size=size, generator=generator)
                continue
            some = chosen[name]
            moved = each.locate(rows[some], columns[some], size=size, generator=generator)
            rows, columns = (_with(whole, some, part) for whole, part in zip((rows, columns), moved))
        images = batch.images
        if rows is not identity[0] or columns is not identity[1]:
            images = gather_pixels(images, rows, columns, outside=self._outside(len(batch), chosen))
        images = self._apply("color", images, batch, chosen, generator)
        images = self._normalize(images, batch, chosen, generator)
        return batch.with_images(self._apply("paint", images, batch, chosen, generator))

    def _normalize(
        self, images: Tensor, batch: Batch, chosen: Mapping[str, Tensor | slice], generator: Generator
    ) -> Tensor:
        """Normalize, after the `enhance` hooks if a step has one."""
        if all(type(each).enhance is Augmentation.enhance for each in self.steps.values()):
            return normalize(images)
        values = images.contiguous(memory_format=torch.channels_last) / 255
        return normalize(self._apply("enhance", values, batch, chosen, generator), white=1)

    def _outside(self, count: int, chosen: Mapping[str, Tensor | slice]) -> int | Tensor:
        """The gray value outside of all images, or (B,) of each."""
        steps = {name: step.outside for name, step in self.steps.items() if step.outside is not None}
        if len(set(steps.values())) < 2:
            return next(iter(steps.values()), 0)
        grays = torch.zeros(count, dtype=torch.uint8)
        for name, gray in steps.items():
            grays[chosen.get(name, slice(None))] = gray
        return grays

    def _apply(
        self, hook: str, images: Tensor, batch: Batch, chosen: Mapping[str, Tensor | slice], generator: Generator
    ) -> Tensor:
        """Call one hook of all steps in order, each on its rows."""
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
