"""Training history from `log.jsonl`: means of each epoch, and evaluations during training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vireid.evaluation.report import MAIN_METRICS
from vireid.runs.log import EPOCH, EVALUATION, LogRecord, read_records

NOT_TERMS = frozenset({"lr", "images_per_second", "waiting", "grad_norm"})  # other numbers of an epoch
TOTAL = "loss"  # weighted sum of the terms


@dataclass(frozen=True)
class Epochs:
    """The means of each finished epoch, oldest first."""

    epoch: Sequence[int] = ()
    lr: Sequence[float] = ()
    terms: Mapping[str, Sequence[float]] = field(default_factory=dict)  # NaN where an epoch did not log the term
    images_per_second: float | None = None  # mean over the epochs
    waiting: float | None = None  # share of the time spent waiting for data, mean over the epochs


@dataclass(frozen=True)
class Measured:
    """One evaluation of one protocol during training."""

    epoch: int
    protocol: str
    values: Mapping[str, float]  # rank1, mAP, mINP in [0, 1]


@dataclass(frozen=True)
class History:
    """Content of `log.jsonl`.

    Attributes:
        epochs: Means of the finished epochs.
        evaluations: Evaluations during training.
        lines: Number of lines.
        damaged: Number of lines that cannot be read, such as one that was cut by a kill.
    """

    epochs: Epochs = field(default_factory=Epochs)
    evaluations: Sequence[Measured] = ()
    lines: int = 0
    damaged: int = 0


def read_history(path: Path) -> History:
    """Read a log; a missing file is an empty history. The last record of an epoch wins."""
    records, lines, damaged = read_records(path)
    return History(
        _epochs([r for r in records if r.event == EPOCH]),
        [_measured(r) for r in records if r.event == EVALUATION and r.epoch is not None],
        lines,
        damaged,
    )


def _epochs(records: Sequence[LogRecord]) -> Epochs:
    rows = sorted({r.epoch: r.values for r in records if r.epoch is not None}.items())
    names = dict.fromkeys(
        key for _, row in rows for key, value in row.items() if key not in NOT_TERMS and _is_number(value)
    )
    ordered = [*(name for name in names if name != TOTAL), *(name for name in names if name == TOTAL)]
    return Epochs(
        [epoch for epoch, _ in rows],
        [_number(row.get("lr")) for _, row in rows],
        {name: [_number(row.get(name)) for _, row in rows] for name in ordered},
        _mean([row.get("images_per_second") for _, row in rows]),
        _mean([row.get("waiting") for _, row in rows]),
    )


def _measured(record: LogRecord) -> Measured:
    values = {name: float(record.values[name]) for name in MAIN_METRICS if _is_number(record.values.get(name))}
    return Measured(record.epoch or 0, str(record.values.get("protocol", "")), values)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: Any) -> float:
    return float(value) if _is_number(value) else math.nan


def _mean(values: Sequence[Any]) -> float | None:
    known = [float(value) for value in values if _is_number(value)]
    return sum(known) / len(known) if known else None
