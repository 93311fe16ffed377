"""Schedules of loss weights: factors that change during training, `(Progress) -> float`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from vireid.core.errors import ArgumentError
from vireid.core.registries import TERM_SCHEDULES
from vireid.core.types import Progress


@TERM_SCHEDULES.register
class LinearRamp:
    """Linear warm-up of a loss weight: from 0 to 1 in equal steps over the first `epochs` epochs, then 1.

    Args:
        epochs: Length of the ramp.

    Example:
        >>> schedule = LinearRamp(epochs=4)
        >>> [schedule(Progress(epoch=epoch)) for epoch in range(5)]
        [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    def __init__(self, *, epochs: int = 10) -> None:
        if epochs < 1:
            raise ArgumentError("epochs", f"must be at least 1, got {epochs}")
        self.epochs = epochs

    def __call__(self, progress: Progress) -> float:
        return min(1.0, (progress.epoch + 1) / self.epochs)


@TERM_SCHEDULES.register
class EpochWindow:
    """Stage of the training: factor 1 from epoch `start` to the epoch before `stop`, otherwise 0.

    Two terms with `stop: 6` and `start: 6` follow one another. Epochs count from 0.

    Args:
        start: First epoch of the term.
        stop: First epoch without the term; None: the term stays to the end.

    Source:
        PMT (AAAI 2023), progressive learning: its grayscale stage is the first 6 epochs.

    Example:
        >>> gray, color = EpochWindow(stop=2), EpochWindow(start=2)
        >>> [(gray(Progress(epoch=epoch)), color(Progress(epoch=epoch))) for epoch in range(4)]
        [(1.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.0, 1.0)]
    """

    def __init__(self, *, start: int = 0, stop: int | None = None) -> None:
        if start < 0:
            raise ArgumentError("start", f"must be at least 0, got {start}")
        if stop is not None and stop <= start:
            raise ArgumentError("stop", f"must be above start ({start}), got {stop}; the term would have no epoch")
        self.start, self.stop = start, stop

    def __call__(self, progress: Progress) -> float:
        return float(self.start <= progress.epoch and (self.stop is None or progress.epoch < self.stop))


@TERM_SCHEDULES.register
class InverseEpochLoss:
    """Inverse of the last epoch's loss: 1 / (1 + loss), and 0 in the first epoch.

    Args:
        of: Terms whose logged means over the last epoch are summed, without weight and schedule. A term of several
            named values counts as their sum.

    Source:
        DDAG (ECCV 2020), dynamic dual aggregation learning, released code: the loss of everything but the graph.

    Departs:
        The released code forgets the loss of the last epoch when training is resumed.

    Example:
        >>> schedule = InverseEpochLoss(of=["id"])
        >>> schedule(Progress(epoch=0)), schedule(Progress(epoch=1, last_epoch={"id": 3.0}))
        (0.0, 0.25)
    """

    example: ClassVar[dict] = {"of": ["id"]}

    def __init__(self, *, of: Sequence[str]) -> None:
        if not of or isinstance(of, str):
            raise ArgumentError("of", f"must be a list of at least one term, got {of!r}")
        self.reads_terms = tuple(of)

    def __call__(self, progress: Progress) -> float:
        if progress.epoch == 0:
            return 0.0
        return 1 / (1 + sum(self._mean(name, progress) for name in self.reads_terms))

    @staticmethod
    def _mean(term: str, progress: Progress) -> float:
        means = [value for name, value in progress.last_epoch.items() if name.split("/")[0] == term]
        if not means:
            known = ", ".join(progress.last_epoch) or "none"
            raise ValueError(f"the last epoch has no mean of the term {term!r} (means: {known}); correct `of`")
        return sum(means)
