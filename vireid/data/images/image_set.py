"""Decoded images with their samples, and the training batches of an epoch."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vireid.core.pseudo_labels import PseudoLabels
from vireid.core.types import Batch, Sample
from vireid.data.loading import BatchLoader
from vireid.data.rows import RowView


@dataclass(frozen=True)
class ImageSet:
    """A list of decoded images.

    Args:
        samples: The images.
        images: (N, H, W, 3) uint8 pixels.
        camera_names: Camera number -> name; empty if cameras have no names.
    """

    samples: Sequence[Sample]
    images: np.ndarray | RowView
    camera_names: Mapping[int, str] = field(default_factory=dict)

    def part(self, rows: Sequence[int], samples: Sequence[Sample]) -> ImageSet:
        """Select rows, with new samples (other labels); no pixels are copied."""
        if len(rows) == len(self.samples):
            return ImageSet(samples, self.images, self.camera_names)
        source = np.zeros(len(rows), np.int64)
        return ImageSet(samples, RowView([self.images], source, np.asarray(rows, np.int64)), self.camera_names)


@dataclass(frozen=True)
class TrainingBatches:
    """The batches of each epoch for the trainer."""

    loader: BatchLoader
    sampler: Any

    def steps(self) -> int:
        return len(self.sampler)

    def relabel(self, labels: PseudoLabels) -> None:
        """Draw the next batches from these labels, and label their rows with them."""
        self.sampler.set_labels(labels.labels)
        self.loader.relabel(labels.labels)

    def epoch(self, epoch: int) -> Generator[Batch, None, None]:
        self.sampler.set_epoch(epoch)
        yield from self.loader
