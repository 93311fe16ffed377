"""Images in memory maps with what is known about each, and the batches of an epoch that are drawn from them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vireid.core.types import Batch, Sample
from vireid.data.loading import BatchLoader
from vireid.data.rows import RowView


@dataclass(frozen=True)
class ImageSet:
    """A list of images, decoded once."""

    samples: Sequence[Sample]
    images: np.ndarray | RowView  # (N, H, W, 3) uint8
    camera_names: Mapping[int, str] = field(default_factory=dict)  # number -> name, where cameras have names

    def part(self, rows: Sequence[int], samples: Sequence[Sample]) -> ImageSet:
        """Some of the images under new samples (other labels); nothing is copied."""
        if len(rows) == len(self.samples):
            return ImageSet(samples, self.images, self.camera_names)
        source = np.zeros(len(rows), np.int64)
        return ImageSet(samples, RowView([self.images], source, np.asarray(rows, np.int64)), self.camera_names)


@dataclass(frozen=True)
class TrainingBatches:
    """The batches of each epoch, as the trainer asks for them."""

    loader: BatchLoader
    sampler: Any

    def steps(self) -> int:
        return len(self.sampler)

    def epoch(self, epoch: int) -> Generator[Batch, None, None]:
        self.sampler.set_epoch(epoch)
        yield from self.loader
