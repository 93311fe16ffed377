"""Results with their conditions: as plain values for JSON and as a printed table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import stdev
from typing import Any

import numpy as np

from vireid.evaluation.coverage import skipped_text
from vireid.retrieval.metrics import QueryScores, Scores

DEFAULTS: Mapping[str, str] = {
    "feature": "not stated",
    "re_ranking": "none",
    "attribute_source": "none",
    "checkpoint": "not stated",
}
WORDS = {
    "re_ranking": "re-ranking",
    "flipped_images": "flipped images",
}  # printed names of conditions that differ from their keys
ORACLE = "labels"  # attribute source that reads the labels of the test identities (oracle)
FOOTNOTE = "† oracle: the test images' attributes are the labels of their identities"


@dataclass(frozen=True)
class MeasuredQueries:
    """The metrics of each query of one trial."""

    rows: np.ndarray  # (Q,) rows of the table of embeddings
    scores: QueryScores


@dataclass(frozen=True)
class Report:
    """The scores of the trials of one protocol on one table of embeddings, with the conditions of the evaluation.

    Attributes:
        trials: Scores by name of the trial.
        conditions: Protocol, direction, mode, shots, trials, draw (from the protocol), feature, re_ranking,
            attribute_source, checkpoint (from the table). Missing ones are filled in from `DEFAULTS`.
        queries: The metrics of each query by name of the trial, for comparisons query by query.
    """

    trials: Mapping[str, Scores]
    conditions: Mapping[str, str | int] = field(default_factory=dict)
    queries: Mapping[str, MeasuredQueries] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.trials, "a report has at least one trial"
        object.__setattr__(self, "conditions", {**DEFAULTS, **self.conditions})

    @property
    def mean(self) -> Scores:
        """Means over the trials; `queries` and `skipped` are sums over all trials."""
        trials = list(self.trials.values())
        return Scores(
            cmc=np.mean([scores.cmc for scores in trials], axis=0),
            mean_ap=float(np.mean([scores.mean_ap for scores in trials])),
            mean_inp=float(np.mean([scores.mean_inp for scores in trials])),
            queries=sum(scores.queries for scores in trials),
            skipped=sum(scores.skipped for scores in trials),
            chance=float(np.mean([scores.chance for scores in trials])),
            ranks=trials[0].ranks,
        )

    @property
    def values(self) -> dict[str, list[float]]:
        """Scores of all trials in [0, 1]: {"rank1": [...], ..., "mAP": [...], "mINP": [...]}."""
        rows = [_row(scores) for scores in self.trials.values()]
        return {name: [row[name] for row in rows] for name in rows[0]}

    @property
    def spread(self) -> dict[str, float | None]:
        """Sample standard deviation over the trials; None if there is one trial."""
        return {name: stdev(values) if len(values) > 1 else None for name, values in self.values.items()}

    @property
    def oracle(self) -> bool:
        return self.conditions["attribute_source"] == ORACLE

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dump`; all scores are in [0, 1]."""
        return {
            "conditions": dict(self.conditions),
            "mean": _row(self.mean),
            "spread": self.spread,
            "chance": {"rank1": self.mean.chance},
            "skipped_queries": {"skipped": self.mean.skipped, "of": self.mean.queries + self.mean.skipped},
            "cmc": self.mean.cmc.tolist(),
            "trials": [
                {"name": name, **_row(scores), "queries": scores.queries, "skipped": scores.skipped}
                for name, scores in self.trials.items()
            ],
        }

    def __str__(self) -> str:
        return format_table({str(self.conditions.get("mode", "")): self})


def format_table(reports: Mapping[str, Report]) -> str:
    """Format a table with one line for each report, in percent, followed by the conditions."""
    lines = [["", *dict.fromkeys(_heading(name) for report in reports.values() for name in report.values)]]
    for title, report in reports.items():
        cells = {_heading(name): _cell(values, report.oracle) for name, values in report.values.items()}
        lines.append([title, *(cells.get(heading, "-") for heading in lines[0][1:])])
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    repeated = any(len(report.trials) > 1 for report in reports.values())
    text.append("percent; mean ± sample standard deviation over the trials" if repeated else "percent")
    chance = ", ".join(f"{title} {100 * report.mean.chance:.1f}".strip() for title, report in reports.items())
    text.append(f"rank-1 of a gallery in random order: {chance}")
    for title, report in reports.items():
        if skipped := skipped_line(report):
            text.append(f"{title}: {skipped}" if title else skipped)
    if any(report.oracle for report in reports.values()):
        text.append(FOOTNOTE)
    return "\n".join([*text, *_conditions(reports)])


def skipped_line(report: Report) -> str:
    """Format the number of queries of each trial without a correct gallery image; empty if there are none."""
    skipped = [scores.skipped for scores in report.trials.values()]
    queries = [scores.queries + scores.skipped for scores in report.trials.values()]
    return skipped_text(skipped, queries) if any(skipped) else ""


def _conditions(reports: Mapping[str, Report]) -> list[str]:
    """Format the conditions that all reports share, once, then those of each report."""
    stated = [report.conditions for report in reports.values()]
    shared = {key: value for key, value in stated[0].items() if all(other.get(key) == value for other in stated)}
    lines = [_phrase(shared)]
    for title, conditions in zip(reports, stated):
        if specific := {key: value for key, value in conditions.items() if key not in shared}:
            lines.append(f"{title}: {_phrase(specific)}")
    return lines


def _phrase(conditions: Mapping[str, str | int]) -> str:
    return ", ".join(f"{WORDS.get(key, key.replace('_', ' '))} {value}" for key, value in conditions.items())


def _row(scores: Scores) -> dict[str, float]:
    return {**{f"rank{k}": scores.rank(k) for k in scores.ranks}, "mAP": scores.mean_ap, "mINP": scores.mean_inp}


def _heading(name: str) -> str:
    return name.replace("rank", "rank-")


def _cell(values: list[float], oracle: bool) -> str:
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread}{' †' if oracle else ''}"
