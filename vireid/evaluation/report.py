"""Results with their conditions: as plain values for JSON, as a data frame and as a printed table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from vireid.core.text import align_columns
from vireid.evaluation.coverage import skipped_text
from vireid.evaluation.open_set.report import OpenSetReport, headline
from vireid.retrieval.metrics import QueryScores, Scores

if TYPE_CHECKING:
    from pandas import DataFrame

METRICS = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")  # of an evaluation with the usual ranks
MAIN_METRICS = ("rank1", "mAP", "mINP")
UNSTATED = "not stated"  # value of a condition that is unknown
DEFAULTS: Mapping[str, str] = {
    "feature": UNSTATED,
    "re_ranking": "none",
    "attribute_source": "none",
    "checkpoint": UNSTATED,
}
WORDS = {
    "re_ranking": "re-ranking",
    "flipped_images": "flipped images",
    "cross_dataset": "cross-dataset",
}  # printed names of conditions that differ from their keys
ORACLE = "labels"  # attribute source that reads the labels of the test identities (oracle)
DAGGER = "†"  # marks scores of an oracle
ORACLE_NOTE = f"{DAGGER} oracle: the test images' attributes are the labels of their identities"
STAR = "*"  # marks re-ranked (transductive) rows


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
        queries: The metrics of each query by name of the trial, for comparisons query by query. Not part of the JSON.
        averages: Means over the trials of a report that was read from a file of schema 1, which does not hold the CMC
            curves of single trials; those are NaN between the printed ranks.
        open_set: Verification and open-set identification; None if they were not evaluated.
    """

    trials: Mapping[str, Scores]
    conditions: Mapping[str, str | int] = field(default_factory=dict)
    queries: Mapping[str, MeasuredQueries] = field(default_factory=dict)
    averages: Scores | None = None
    open_set: OpenSetReport | None = None

    def __post_init__(self) -> None:
        assert self.trials, "a report has at least one trial"
        object.__setattr__(self, "conditions", {**DEFAULTS, **self.conditions})

    @property
    def mean(self) -> Scores:
        """Means over the trials; `queries` and `skipped` are sums over all trials."""
        if self.averages is not None:
            return self.averages
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
    def means(self) -> dict[str, float]:
        """Means over the trials in [0, 1]: {"rank1": ..., "mAP": ..., "mINP": ...}."""
        return _row(self.mean)

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
    def chance(self) -> float | None:
        """Expected rank-1 of a gallery in random order; None if a file of an older version does not state it."""
        chance = self.mean.chance
        return None if math.isnan(chance) else chance

    @property
    def oracle(self) -> bool:
        """Whether the attributes of the test images are the labels of their identities."""
        return is_oracle(self.conditions)

    def to_frame(self) -> DataFrame:
        """Return a table with one row for each trial: the metrics in [0, 1], `queries` and `skipped`."""
        import pandas

        rows = [{**_row(s), "queries": s.queries, "skipped": s.skipped} for s in self.trials.values()]
        return pandas.DataFrame(rows, index=pandas.Index(list(self.trials), name="trial"))

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dump`; all scores are in [0, 1]."""
        mean, trials = self.mean, list(self.trials.values())
        stored: dict[str, Any] = {
            "conditions": dict(self.conditions),
            "mean": _row(mean),
            "spread": self.spread,
        }
        if self.chance is not None:
            stored["chance"] = {"rank1": self.chance}
        stored["skipped_queries"] = {"skipped": mean.skipped, "of": mean.queries + mean.skipped}
        stored["cmc"] = mean.cmc.tolist()
        stored["trials"] = [
            {"name": name, **_row(scores), "queries": scores.queries, "skipped": scores.skipped}
            for name, scores in self.trials.items()
        ]
        if self.averages is None:
            stored["trial_curves"] = {
                "cmc": [scores.cmc.tolist() for scores in trials],
                "chance": [scores.chance for scores in trials],
            }
        if self.open_set is not None:
            stored["open_set"] = self.open_set.to_json()
        return stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Report:
        """Return the report that `to_json` of this or an older version wrote, without `queries`.

        Raises:
            KeyError: For a value that is missing.
            ValueError, TypeError, AttributeError: For a value of another form.
        """
        conditions, mean = dict(stored["conditions"]), dict(stored["mean"])
        curve, rows = np.array(stored["cmc"], dtype=np.float64), list(stored["trials"])
        if not rows:
            raise ValueError("trials is empty")
        chance = float((stored.get("chance") or {}).get("rank1", math.nan))
        counts = {key: sum(int(row[key]) for row in rows) for key in ("queries", "skipped")}
        curves = stored.get("trial_curves")
        if curves is not None:
            scores = [_scores(row, np.array(cmc), c) for row, cmc, c in zip(rows, curves["cmc"], curves["chance"])]
            averages = None
        else:
            scores = [_scores(row, _printed_ranks(row, len(curve)), chance) for row in rows]
            averages = _scores({**mean, **counts}, curve, chance)
        of_trials = {str(row["name"]): s for row, s in zip(rows, scores, strict=True)}
        open_set = stored.get("open_set")
        return cls(
            of_trials,
            conditions,
            averages=averages,
            open_set=None if open_set is None else OpenSetReport.from_json(open_set),
        )

    def __str__(self) -> str:
        return format_table({str(self.conditions.get("mode", "")): self})


def format_table(reports: Mapping[str, Report]) -> str:
    """Format a table with one line for each report, in percent, followed by the conditions."""
    lines = [["", *dict.fromkeys(metric_heading(name) for report in reports.values() for name in report.values)]]
    for title, report in reports.items():
        cells = {metric_heading(name): percent_text(values, report.oracle) for name, values in report.values.items()}
        lines.append([starred(title, report.conditions), *(cells.get(heading, "-") for heading in lines[0][1:])])
    text = align_columns(lines)
    repeated = any(len(report.trials) > 1 for report in reports.values())
    text.append("percent; mean ± sample standard deviation over the trials" if repeated else "percent")
    chances = {title: report.chance for title, report in reports.items() if report.chance is not None}
    if chances:
        listed = ", ".join(f"{title} {100 * chance:.1f}".strip() for title, chance in chances.items())
        text.append(f"rank-1 of a gallery in random order: {listed}")
    for title, report in reports.items():
        if skipped := skipped_line(report):
            text.append(f"{title}: {skipped}" if title else skipped)
    if any(report.oracle for report in reports.values()):
        text.append(ORACLE_NOTE)
    text += transductive_notes(report.conditions for report in reports.values())
    text += _conditions(reports)
    for title, report in reports.items():
        if report.open_set is not None:
            text += ["", headline(title, report.open_set), *report.open_set.lines()]
    return "\n".join(text)


def skipped_line(report: Report) -> str:
    """Format the number of queries of each trial without a correct gallery image; empty without any."""
    skipped = [scores.skipped for scores in report.trials.values()]
    queries = [scores.queries + scores.skipped for scores in report.trials.values()]
    return skipped_text(skipped, queries) if any(skipped) else ""


def _conditions(reports: Mapping[str, Report]) -> list[str]:
    """Format the conditions that all reports share, once, then those of each report."""
    stated = [report.conditions for report in reports.values()]
    shared = {key: value for key, value in stated[0].items() if all(other.get(key) == value for other in stated)}
    lines = [conditions_text(shared)]
    for title, conditions in zip(reports, stated):
        if specific := {key: value for key, value in conditions.items() if key not in shared}:
            lines.append(f"{title}: {conditions_text(specific)}")
    return lines


def conditions_text(conditions: Mapping[str, Any]) -> str:
    """Format conditions in one line.

    >>> conditions_text({"re_ranking": "none", "seed": "0"})
    're-ranking none, seed 0'
    """
    return ", ".join(f"{WORDS.get(key, key.replace('_', ' '))} {value}" for key, value in conditions.items())


def is_oracle(conditions: Mapping[str, Any]) -> bool:
    """Return whether the attributes of the test images are the labels of their identities."""
    return conditions.get("attribute_source") == ORACLE


def starred(title: str, conditions: Mapping[str, Any]) -> str:
    """Return the title of a row, with a star if its results are re-ranked (transductive inference).

    >>> starred("all", {"transductive": "uses the gallery"}), starred("all", {})
    ('all *', 'all')
    """
    return f"{title} {STAR}".strip() if "transductive" in conditions else title


def transductive_notes(stated: Iterable[Mapping[str, Any]]) -> list[str]:
    """Format the footnotes of starred rows from the conditions of all rows; empty if no row is re-ranked."""
    uses = dict.fromkeys(conditions["transductive"] for conditions in stated if "transductive" in conditions)
    return [f"{STAR} re-ranked (transductive): the result of a query {use}" for use in uses]


def _row(scores: Scores) -> dict[str, float]:
    return {**{f"rank{k}": scores.rank(k) for k in scores.ranks}, "mAP": scores.mean_ap, "mINP": scores.mean_inp}


def _scores(row: Mapping[str, Any], cmc: np.ndarray, chance: float) -> Scores:
    """Return the scores of a stored row; `cmc` is its curve."""
    return Scores(
        cmc=cmc,
        mean_ap=float(row["mAP"]),
        mean_inp=float(row["mINP"]),
        queries=int(row["queries"]),
        skipped=int(row["skipped"]),
        chance=float(chance),
        ranks=tuple(_ranks(row)),
    )


def _printed_ranks(row: Mapping[str, Any], length: int) -> np.ndarray:
    """Return a CMC curve (length,) that is known at the printed ranks only and NaN elsewhere."""
    curve = np.full(max(length, *_ranks(row)), np.nan)
    for rank, name in _ranks(row).items():
        curve[rank - 1] = row[name]
    return curve


def _ranks(row: Mapping[str, Any]) -> dict[int, str]:
    """Return the printed ranks of a stored row and their keys: {1: "rank1", 5: "rank5"}."""
    return {int(name.removeprefix("rank")): name for name in row if name.startswith("rank")}


def metric_heading(name: str) -> str:
    """Format the name of a metric: "rank1" -> "rank-1"."""
    return name.replace("rank", "rank-")


def percent_text(values: Sequence[float], oracle: bool = False) -> str:
    """Format mean and sample standard deviation of scores in [0, 1] as percent.

    >>> percent_text([0.5, 0.6], oracle=True), percent_text([0.25])
    ('55.0 ± 7.1 †', '25.0')
    """
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread}{f' {DAGGER}' if oracle else ''}"
