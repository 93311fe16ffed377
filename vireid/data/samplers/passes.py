"""Base of the samplers whose epoch is one or several passes over blocks of images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from vireid.core.rng import numpy_generator


class PassSampler(ABC):
    """Batches of an epoch from whole passes; a function of (seed, epoch).

    Args:
        seed: Random seed.
        steps: Batches in an epoch, from as many passes as needed; None: one pass.
    """

    def __init__(self, *, seed: int, steps: int | None) -> None:
        self.seed, self.steps, self.epoch = seed, steps, 0
        self._drawn: tuple[int, np.ndarray] | None = None  # of the current epoch

    @abstractmethod
    def _one_pass(self, state: np.random.RandomState) -> np.ndarray:
        """Draw one pass over all blocks: (batches, rows of a batch over all processes)."""

    @abstractmethod
    def _local(self, batches: np.ndarray) -> np.ndarray:
        """Select and order the rows of this process: (steps, rows) -> (steps, rows / world)."""

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.rows())

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.rows().tolist())

    def rows(self) -> np.ndarray:
        """Return all batches of the epoch for this process: (steps, rows) row numbers."""
        if self._drawn is None or self._drawn[0] != self.epoch:
            self._drawn = self.epoch, self._draw()
        return self._drawn[1]

    def _draw(self) -> np.ndarray:
        state = np.random.RandomState(numpy_generator(self.seed, self.epoch).integers(0, 2**32, 4, dtype=np.uint32))
        passes = [self._one_pass(state)]
        while self.steps is not None and sum(map(len, passes)) < self.steps:
            passes.append(self._one_pass(state))
        return self._local(np.concatenate(passes)[: self.steps])
