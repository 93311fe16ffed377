"""Factors of loss terms that change as training goes on. A schedule is `(Progress) -> float`."""

from __future__ import annotations

from vireid.core.registries import TERM_SCHEDULES
from vireid.core.types import Progress


@TERM_SCHEDULES.register
class LinearRamp:
    """From 0 to 1 in equal steps over the first `epochs` epochs, then 1."""

    def __init__(self, *, epochs: int = 10) -> None:
        if epochs < 1:
            raise ValueError(f"epochs must be at least 1, got {epochs}")
        self.epochs = epochs

    def __call__(self, progress: Progress) -> float:
        return min(1.0, (progress.epoch + 1) / self.epochs)
