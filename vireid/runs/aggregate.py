"""One row from the results of several splits, each with a model of its own: the ten splits of RegDB."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from vireid.core.errors import UserError
from vireid.evaluation.report import WORDS

FILE = "metrics.json"
OWN = ("split", "trial", "checkpoint", "seed")  # conditions in which the runs may differ; "trial": older results


@dataclass(frozen=True)
class TrialResult:
    """The results of one split: protocol -> what `Report.to_json` gave."""

    place: str
    trial: int
    results: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Aggregate:
    """Mean and spread of a protocol over splits. All scores in [0, 1]."""

    values: Mapping[str, Sequence[float]]  # "rank1", ..., "mAP", "mINP" -> one for each trial
    trials: tuple[int, ...]
    missing: tuple[int, ...]  # trials of which there is no result
    conditions: Mapping[str, str | int]

    @property
    def mean(self) -> dict[str, float]:
        return {name: mean(values) for name, values in self.values.items()}

    @property
    def spread(self) -> dict[str, float | None]:
        """Sample standard deviation over the trials; None where there is one."""
        return {name: stdev(values) if len(values) > 1 else None for name, values in self.values.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dump`."""
        return {
            "conditions": dict(self.conditions),
            "mean": self.mean,
            "spread": self.spread,
            "trials": list(self.trials),
            "missing_trials": list(self.missing),
            "values": {name: list(values) for name, values in self.values.items()},
        }


def read_trials(places: Iterable[Path]) -> list[TrialResult]:
    """The results of several runs, by trial; a place is a run's folder or its metrics.json.

    Errors: UserError with everything that is wrong: files that are missing or no results, runs that name no trial,
    trials that two runs have.
    """
    found: dict[int, TrialResult] = {}
    problems = []
    for place in places:
        try:
            result = _read(place)
        except UserError as error:
            problems.append(str(error))
            continue
        if result.trial in found:
            problems.append(f"split {result.trial} is in {found[result.trial].place} and in {result.place}")
        found[result.trial] = result
    if problems:
        raise UserError("\n".join(problems))
    return [found[trial] for trial in sorted(found)]


def _read(place: Path) -> TrialResult:
    file = place / FILE if place.is_dir() else place
    if not file.is_file():
        raise UserError(f"{file} does not exist: train or evaluate that split first")
    try:
        results = json.loads(file.read_text(encoding="utf-8"))["results"]
        stated = {_split_of(result["conditions"]) for result in results.values()}
        numbers = {name: dict(result["mean"]) for name, result in results.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} holds no results of a run ({type(error).__name__}: {error})") from error
    (trial,) = stated if len(stated) == 1 else (None,)
    if not numbers or trial is None or not str(trial).isdecimal():
        raise UserError(f"{file} does not state its split: only results of the splits of RegDB can be aggregated")
    return TrialResult(str(file), int(trial), results)


def _split_of(conditions: Mapping[str, Any]) -> Any:
    """The split that a result states; older results call it the trial."""
    return conditions.get("split", conditions.get("trial"))


def aggregate(results: Sequence[TrialResult], *, trials: int = 10) -> dict[str, Aggregate]:
    """Mean and spread of each protocol over the trials 1 .. `trials`; those of which there is no result are named.

    Errors: UserError with every condition, protocol and metric in which the runs differ and must not, and for results
    of none of the trials.
    """
    if not results:
        raise UserError("there are no results to put together")
    problems = [f"{r.place} is of split {r.trial}, there are {trials}" for r in results if not 1 <= r.trial <= trials]
    first = results[0]
    for other in results[1:]:
        if set(other.results) != set(first.results):
            names = [", ".join(sorted(result.results)) for result in (first, other)]
            problems.append(f"{other.place} has the protocols {names[1]}, but {first.place} has {names[0]}")
            continue
        for name, result in first.results.items():
            problems += _differences(name, result, other.results[name], first.place, other.place)
    if problems:
        raise UserError("results that do not belong together:\n  - " + "\n  - ".join(problems))
    present = tuple(result.trial for result in results)
    missing = tuple(trial for trial in range(1, trials + 1) if trial not in present)
    return {
        name: Aggregate(
            values={key: [result.results[name]["mean"][key] for result in results] for key in one["mean"]},
            trials=present,
            missing=missing,
            conditions=_shared([result.results[name]["conditions"] for result in results], len(present), trials),
        )
        for name, one in first.results.items()
    }


def _differences(name: str, left: Mapping[str, Any], right: Mapping[str, Any], first: str, other: str) -> list[str]:
    """What two runs must agree in and do not."""
    mine, theirs = left["conditions"], right["conditions"]
    keys = [key for key in {**mine, **theirs} if key not in OWN and mine.get(key) != theirs.get(key)]
    problems = [f"{name}: {key} is {theirs.get(key)!r} in {other}, but {mine.get(key)!r} in {first}" for key in keys]
    if set(left["mean"]) != set(right["mean"]):
        problems.append(
            f"{name}: {other} has the metrics {', '.join(right['mean'])}, {first} {', '.join(left['mean'])}"
        )
    return problems


def _shared(stated: Sequence[Mapping[str, Any]], present: int, trials: int) -> dict[str, str | int]:
    """The conditions of the row: what all agree in; what differs and may, as a list."""
    out: dict[str, str | int] = {}
    for key, value in stated[0].items():
        values = list(dict.fromkeys(str(conditions.get(key)) for conditions in stated))
        out[key] = value if len(values) == 1 else f"differs ({', '.join(values)})"
    out.pop("trial", None)
    return {**out, "split": f"{present} of {trials}, each with a model of its own"}


def format_aggregates(rows: Mapping[str, Aggregate]) -> str:
    """A line for each protocol, in percent, mean ± sample standard deviation over the trials; then what is missing."""
    one = next(iter(rows.values()))
    lines = [["", *(name.replace("rank", "rank-") for name in one.values)]]
    for title, row in rows.items():
        spread = {name: "" if value is None else f" ± {100 * value:.1f}" for name, value in row.spread.items()}
        lines.append([title, *(f"{100 * value:.1f}{spread[name]}" for name, value in row.mean.items())])
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    text.append(f"percent; mean ± sample standard deviation over {len(one.trials)} splits, a model for each")
    if one.missing:
        text.append(f"NOT THE PUBLISHED FORM: no result of split {', '.join(map(str, one.missing))}")
    for title, row in rows.items():
        phrase = ", ".join(f"{WORDS.get(key, key.replace('_', ' '))} {value}" for key, value in row.conditions.items())
        text.append(f"{title}: {phrase}")
    return "\n".join(text)
