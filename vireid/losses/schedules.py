"""Factors of loss terms that change as training goes on. A schedule is `(Progress) -> float`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

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


@TERM_SCHEDULES.register
class InverseEpochLoss:
    """1 / (1 + loss of the last epoch), and 0 in the first: the better the others are learned, the more this counts.

    `of` names the terms whose means over the last epoch are added up, as they are logged: without weight and schedule.
    A term of several named values counts as their sum.
    Source: DDAG (ECCV 2020), "dynamic dual aggregation learning", released code: the loss of everything but the graph.
    Departs: the release forgets the last epoch when it resumes.
    """

    example: ClassVar[dict] = {"of": ["id"]}

    def __init__(self, *, of: Sequence[str]) -> None:
        if not of or isinstance(of, str):
            raise ValueError(f"of must be a list of at least one term, got {of!r}")
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
            raise ValueError(f"nothing is known of the term {term!r} in the last epoch (known: {known})")
        return sum(means)
