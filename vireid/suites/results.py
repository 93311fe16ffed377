"""Results of a suite: one entry for each row, dataset and protocol, and the differences to the baseline row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from vireid.core.errors import DataError, UserError
from vireid.evaluation.report import Report, is_oracle
from vireid.runs.aggregate import MAY_DIFFER
from vireid.runs.folder import RunFolder
from vireid.runs.metrics import Metrics
from vireid.suites.baseline import Compared, compare_rows
from vireid.suites.cost_table import Costs, costs_of
from vireid.suites.evaluations import key_of
from vireid.suites.inputs import recorded
from vireid.suites.plan import Cell, Evaluation, SuitePlan
from vireid.suites.runs import Outcome

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Entry:
    """A row on one dataset under one protocol. All scores in [0, 1]."""

    row: str
    dataset: str
    protocol: str
    values: Mapping[str, Sequence[float]]  # metric -> one for each finished seed
    seeds: tuple[int, ...]
    conditions: Mapping[str, str]
    synthetic: bool
    failures: Mapping[int, str] = field(default_factory=dict)  # seed -> reason
    remarks: tuple[str, ...] = ()  # what is unknown about its runs

    @property
    def oracle(self) -> bool:
        """Whether the attributes of the test images are the labels of their identities."""
        return is_oracle(self.conditions)

    @property
    def cross_dataset(self) -> bool:
        """Whether the training was on another dataset than the test."""
        return "cross_dataset" in self.conditions

    @property
    def re_ranking(self) -> str:
        """Description of the re-ranking; "none" without one."""
        return self.conditions.get("re_ranking", "none")

    def mean(self, metric: str) -> float | None:
        """Return the mean over the seeds; None without a result."""
        return mean(self.values[metric]) if self.values.get(metric) else None

    def spread(self, metric: str) -> float | None:
        """Return the sample standard deviation over the seeds; None if there are fewer than two."""
        values = self.values.get(metric, ())
        return stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Results:
    """Results of all rows, differences, costs and the state of each run."""

    plan: SuitePlan
    entries: Sequence[Entry]
    compared: Sequence[Compared]
    outcomes: Mapping[str, Outcome]
    costs: Costs | None = None

    def failures(self) -> list[str]:
        """Return one sentence for each run without a result."""
        return [
            f"{_title(entry.row, entry.dataset)}, seed {seed}: {reason}"
            for entry in self.entries
            for seed, reason in entry.failures.items()
        ]

    def to_frame(self) -> DataFrame:
        """Return a table with one row for each entry and metric of the suite; scores in [0, 1], NaN if missing."""
        import pandas

        rows = [
            {
                "row": entry.row,
                "dataset": entry.dataset,
                "protocol": entry.protocol,
                "metric": metric,
                "mean": entry.mean(metric),
                "std": entry.spread(metric),
                "seeds": " ".join(map(str, entry.seeds)),
                "attribute_source": entry.conditions.get("attribute_source", ""),
                "re_ranking": entry.re_ranking,
                "synthetic_people": int(entry.synthetic),
                "failures": "; ".join(f"{seed}: {reason}" for seed, reason in entry.failures.items()),
            }
            for entry in self.entries
            for metric in self.plan.suite.columns
        ]
        return pandas.DataFrame(rows).astype({"mean": float, "std": float})

    def to_json(self) -> dict[str, Any]:
        """Return plain values; an interrupted and resumed suite gives the same values as one without interruption."""
        suite = self.plan.suite
        return {
            "suite": suite.file.name,
            "title": suite.title,
            "columns": list(suite.columns),
            "rows": [
                {
                    "row": entry.row,
                    "dataset": entry.dataset,
                    "protocol": entry.protocol,
                    "synthetic_people": entry.synthetic,
                    "conditions": dict(entry.conditions),
                    "seeds": list(entry.seeds),
                    "metrics": {
                        metric: {"mean": mean(values), "std": entry.spread(metric), "values": list(values)}
                        for metric, values in entry.values.items()
                    },
                    "failures": {str(seed): reason for seed, reason in entry.failures.items()},
                    "remarks": list(entry.remarks),
                }
                for entry in self.entries
            ],
            "costs": [
                {"row": row, "dataset": dataset, **values}
                for (row, dataset), values in (self.costs.values if self.costs else {}).items()
            ],
            "runs": [
                {
                    "row": cell.row.name,
                    "dataset": cell.dataset,
                    "seed": seed,
                    "address": run.address,
                    "done": self.outcomes[run.address].done,
                    "inputs": _digests(self.outcomes[run.address]),
                }
                for cell in self.plan.cells
                for seed, run in cell.runs.items()
            ],
            "differences": [
                {
                    "row": pair.row,
                    "against": pair.against,
                    "dataset": pair.dataset,
                    "protocol": pair.protocol,
                    "reason": pair.reason,
                    **{
                        d.metric: {"value": d.value, "low": d.low, "high": d.high, "includes_zero": d.includes_zero}
                        for d in pair.differences
                    },
                }
                for pair in self.compared
            ],
        }


def gather(plan: SuitePlan, outcomes: Mapping[str, Outcome]) -> Results:
    """Read the results of all finished runs.

    Raises:
        UserError: If the results of a run are damaged; the text names the file.
    """
    entries = [entry for cell in plan.cells for column in _columns(plan, cell) for entry in _entries(column, outcomes)]
    costs = costs_of(plan, plan.suite.costs) if plan.suite.costs else None
    return Results(plan, entries, compare_rows(plan, outcomes), outcomes, costs)


@dataclass(frozen=True)
class _Column:
    """A row of the table in the columns of one test dataset."""

    row: str
    dataset: str
    protocols: tuple[str, ...]
    keys: Mapping[int, str]  # seed -> key of the outcome
    synthetic: bool


def _columns(plan: SuitePlan, cell: Cell) -> list[_Column]:
    """The dataset of the training, or each dataset of EVALUATE_ON; then the row names the training dataset."""
    if not plan.suite.evaluate_on:
        keys = {seed: run.address for seed, run in cell.runs.items()}
        return [_Column(cell.row.name, cell.dataset, cell.protocols, keys, cell.synthetic)]
    by_name: dict[str, dict[int, str]] = {}
    of_name: dict[str, Evaluation] = {}
    for seed, run in cell.runs.items():
        for evaluation in run.evaluations:
            by_name.setdefault(evaluation.name, {})[seed] = key_of(run, evaluation)
            of_name[evaluation.name] = evaluation
    return [
        _Column(
            _title(cell.row.name, cell.dataset),
            name,
            tuple(protocol for protocol in of_name[name].protocols if protocol in cell.protocols),
            keys,
            of_name[name].synthetic or cell.synthetic,
        )
        for name, keys in by_name.items()
    ]


def _entries(cell: _Column, outcomes: Mapping[str, Outcome]) -> list[Entry]:
    done = {seed: outcomes[key] for seed, key in cell.keys.items() if outcomes[key].done}
    failures = {seed: outcomes[key].reason for seed, key in cell.keys.items() if seed not in done}
    read = {seed: _reports(outcome) for seed, outcome in done.items()}
    remarks = tuple(dict.fromkeys(outcome.remark for outcome in done.values() if outcome.remark))
    if len({_digests(outcome)["test"] for outcome in done.values()}) > 1:
        remarks += ("its seeds were evaluated on different test listings",)
    entries = []
    for protocol in cell.protocols:
        reports = {seed: by_protocol[protocol] for seed, by_protocol in read.items()}
        means = [report.means for report in reports.values()]
        metrics = dict.fromkeys(name for values in means for name in values)
        entries.append(
            Entry(
                row=cell.row,
                dataset=cell.dataset,
                protocol=protocol,
                values={name: [values[name] for values in means] for name in metrics},
                seeds=tuple(reports),
                conditions=_shared([report.conditions for report in reports.values()]),
                synthetic=cell.synthetic,
                failures=failures,
                remarks=remarks,
            )
        )
    return entries


def _digests(outcome: Outcome) -> dict[str, str]:
    """Return the digests of the training and the test listing of a finished run; "" if they are not recorded."""
    inputs = (recorded(outcome.folder) if outcome.done else None) or {}
    splits = {"training": (inputs.get("trained_on") or {}).get("training"), "test": inputs.get("test")}
    return {split: str((summary or {}).get("digest", "")) for split, summary in splits.items()}


def _reports(outcome: Outcome) -> Mapping[str, Report]:
    try:
        return Metrics.read(RunFolder(outcome.folder).metrics).reports
    except DataError as error:
        raise UserError(f"{error}\n    Or delete {outcome.folder} and start the suite again.") from error


def _shared(stated: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the conditions of all seeds; of a condition that differs and must not, all values."""
    keys = dict.fromkeys(key for conditions in stated for key in conditions if key not in MAY_DIFFER)
    return {key: " / ".join(dict.fromkeys(str(conditions.get(key)) for conditions in stated)) for key in keys}


def _title(row: str, dataset: str) -> str:
    return f"{row} on {dataset}" if dataset else row
