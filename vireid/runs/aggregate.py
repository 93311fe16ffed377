"""Aggregate the results of several splits, each with its model: the ten splits of RegDB."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from vireid.core.errors import UserError
from vireid.core.io import write_json
from vireid.core.text import align_columns
from vireid.evaluation.report import Report, conditions_text, metric_heading, percent_text
from vireid.runs.folder import RunFolder
from vireid.runs.metrics import Metrics
from vireid.runs.schema import KEY, SCHEMA

SPLIT_KEYS = ("split", "trial")  # condition with the number of the split; "trial" in older versions
MAY_DIFFER = ("split", "trial", "checkpoint", "seed")  # conditions in which runs of one table row may differ


@dataclass(frozen=True)
class SplitResult:
    """The reports of one split."""

    place: str  # the file
    split: int
    reports: Mapping[str, Report]  # by protocol


@dataclass(frozen=True)
class Aggregate:
    """Mean and spread of a protocol over the splits. All scores in [0, 1]."""

    values: Mapping[str, Sequence[float]]  # "rank1", ..., "mAP", "mINP" -> one for each split
    splits: tuple[int, ...]
    missing: tuple[int, ...]  # splits without a result
    conditions: Mapping[str, str | int]

    @property
    def mean(self) -> dict[str, float]:
        """Mean of each metric over the splits."""
        return {name: mean(values) for name, values in self.values.items()}

    @property
    def spread(self) -> dict[str, float | None]:
        """Sample standard deviation over the splits; None if there is one split."""
        return {name: stdev(values) if len(values) > 1 else None for name, values in self.values.items()}

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dump`."""
        return {
            "conditions": dict(self.conditions),
            "mean": self.mean,
            "spread": self.spread,
            "splits": list(self.splits),
            "missing_splits": list(self.missing),
            "values": {name: list(values) for name, values in self.values.items()},
        }


def read_splits(places: Iterable[Path]) -> list[SplitResult]:
    """Read the results of several runs, sorted by split.

    Args:
        places: Run folders or their `metrics.json`.

    Raises:
        UserError: With all problems: missing and damaged files, runs without a split, two runs of one split.
    """
    results: dict[int, SplitResult] = {}
    problems = []
    for place in places:
        try:
            result = _read(place)
        except UserError as error:
            problems.append(str(error))
            continue
        if result.split in results:
            problems.append(f"split {result.split} is in {results[result.split].place} and in {result.place}")
        results[result.split] = result
    if problems:
        raise UserError("\n".join(problems))
    return [results[split] for split in sorted(results)]


def _read(place: Path) -> SplitResult:
    file = RunFolder(place).metrics if place.is_dir() else place
    if not file.is_file():
        raise UserError(f"{file} does not exist: train or evaluate that split first")
    reports = Metrics.read(file).reports
    splits = {report.conditions.get(key) for report in reports.values() for key in SPLIT_KEYS} - {None}
    (split,) = splits if len(splits) == 1 else (None,)
    if split is None or not str(split).isdecimal():
        raise UserError(f"{file} does not state its split: only results of RegDB's splits can be aggregated")
    return SplitResult(str(file), int(split), reports)


def aggregate(results: Sequence[SplitResult], *, splits: int = 10) -> dict[str, Aggregate]:
    """Compute mean and spread of each protocol over the splits 1 to `splits`.

    Raises:
        UserError: If there are no results, or with each condition, protocol and metric in which runs differ and must
            not.
    """
    if not results:
        raise UserError("there are no results to aggregate; pass at least one run folder")
    first = results[0]
    problems = [
        f"{r.place} is of split {r.split}, expected 1 to {splits}" for r in results if not 1 <= r.split <= splits
    ]
    for other in results[1:]:
        if set(other.reports) != set(first.reports):
            names = [", ".join(sorted(result.reports)) for result in (first, other)]
            problems.append(f"{other.place} has the protocols {names[1]}, but {first.place} has {names[0]}")
            continue
        for name, report in first.reports.items():
            problems += _differences(name, report, other.reports[name], first.place, other.place)
    if problems:
        raise UserError("results that do not belong together:\n  - " + "\n  - ".join(problems))
    present = tuple(result.split for result in results)
    missing = tuple(split for split in range(1, splits + 1) if split not in present)
    rows = {}
    for name, report in first.reports.items():
        conditions = shared_conditions([result.reports[name].conditions for result in results])
        key = next(key for key in SPLIT_KEYS if key in conditions)
        rows[name] = Aggregate(
            values={key: [result.reports[name].means[key] for result in results] for key in report.means},
            splits=present,
            missing=missing,
            conditions={**conditions, key: f"{len(present)} of {splits}, a model for each"},
        )
    return rows


def write_aggregates(path: Path, rows: Mapping[str, Aggregate]) -> None:
    """Write the row of each protocol as JSON, with the values of each split."""
    write_json(path, {KEY: SCHEMA, "results": {name: row.to_json() for name, row in rows.items()}})


def _differences(name: str, left: Report, right: Report, first: str, other: str) -> list[str]:
    """Return the conditions and metrics in which two runs differ and must not."""
    one, two = left.conditions, right.conditions
    keys = [key for key in {**one, **two} if key not in MAY_DIFFER and one.get(key) != two.get(key)]
    problems = [f"{name}: {key} is {two.get(key)!r} in {other}, but {one.get(key)!r} in {first}" for key in keys]
    if set(left.means) != set(right.means):
        problems.append(f"{name}: {other} has the metrics {', '.join(right.means)}, {first} {', '.join(left.means)}")
    return problems


def shared_conditions(stated: Sequence[Mapping[str, Any]]) -> dict[str, str | int]:
    """Return the conditions that all runs share; of those that differ, all values.

    >>> shared_conditions([{"seed": 0, "mode": "all"}, {"seed": 1, "mode": "all"}])
    {'seed': 'differs (0, 1)', 'mode': 'all'}
    """
    shared: dict[str, str | int] = {}
    for key, value in stated[0].items():
        values = list(dict.fromkeys(str(conditions.get(key)) for conditions in stated))
        shared[key] = value if len(values) == 1 else f"differs ({', '.join(values)})"
    return shared


def format_aggregates(rows: Mapping[str, Aggregate]) -> str:
    """Format one line for each protocol, in percent: mean ± sample standard deviation; then what is missing."""
    first = next(iter(rows.values()))
    cells = [["", *map(metric_heading, first.values)]]
    cells += [[title, *map(percent_text, row.values.values())] for title, row in rows.items()]
    text = align_columns(cells)
    text.append(f"percent; mean ± sample standard deviation over {len(first.splits)} splits, a model for each")
    if first.missing:
        text.append(f"NOT THE PUBLISHED FORM: no result of split {', '.join(map(str, first.missing))}")
    return "\n".join([*text, *(f"{title}: {conditions_text(row.conditions)}" for title, row in rows.items())])
