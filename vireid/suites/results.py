"""What the runs of a suite gave, put together: one entry for each row, data set and protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from vireid.core.errors import UserError
from vireid.suites.bootstrap import Difference, differences
from vireid.suites.cost_table import Costs, costs_of
from vireid.suites.inputs import recorded
from vireid.suites.plan import Cell, SuitePlan
from vireid.suites.runs import Outcome

ORACLE = "labels"  # the attribute source that knows the person's labels at test time
OWN = ("seed", "checkpoint", "split", "trial")  # conditions in which the seeds of a cell may differ


@dataclass(frozen=True)
class Entry:
    """A row on one data set under one protocol. All scores in [0, 1]."""

    row: str
    dataset: str
    protocol: str
    values: Mapping[str, Sequence[float]]  # metric -> one for each seed that was done
    seeds: tuple[int, ...]
    conditions: Mapping[str, str]
    synthetic: bool
    failures: Mapping[int, str] = field(default_factory=dict)  # seed -> reason
    remarks: tuple[str, ...] = ()  # what is not known of its runs

    @property
    def oracle(self) -> bool:
        return self.conditions.get("attribute_source") == ORACLE

    @property
    def re_ranking(self) -> str:
        return self.conditions.get("re_ranking", "none")

    def mean(self, metric: str) -> float | None:
        return mean(self.values[metric]) if self.values.get(metric) else None

    def spread(self, metric: str) -> float | None:
        """Sample standard deviation over the seeds; None where there is one."""
        values = self.values.get(metric, ())
        return stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Compared:
    """A row held against the suite's COMPARE row."""

    row: str
    against: str
    dataset: str
    protocol: str
    differences: Sequence[Difference]
    reason: str = ""  # why there are none


@dataclass(frozen=True)
class Results:
    """Everything that tables and pages are made of."""

    plan: SuitePlan
    entries: Sequence[Entry]
    compared: Sequence[Compared]
    outcomes: Mapping[str, Outcome]
    costs: Costs | None = None

    def failures(self) -> list[str]:
        """A sentence for each run that has no result."""
        return [
            f"{_title(entry.row, entry.dataset)}, seed {seed}: {reason}"
            for entry in self.entries
            for seed, reason in entry.failures.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values, the same for an interrupted and continued suite as for one that ran through."""
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
    """Read the results of all runs that are done. Errors: UserError for a damaged metrics.json, naming it."""
    entries = [entry for cell in plan.cells for entry in _entries(cell, outcomes)]
    costs = costs_of(plan, plan.suite.costs) if plan.suite.costs else None
    return Results(plan, entries, _compare(plan, outcomes), outcomes, costs)


def _entries(cell: Cell, outcomes: Mapping[str, Outcome]) -> list[Entry]:
    done = {seed: outcomes[run.address] for seed, run in cell.runs.items() if outcomes[run.address].done}
    failures = {seed: outcomes[run.address].reason for seed, run in cell.runs.items() if seed not in done}
    read = {seed: _read(outcome.folder / "metrics.json") for seed, outcome in done.items()}
    remarks = tuple(dict.fromkeys(outcome.remark for outcome in done.values() if outcome.remark))
    if len({_digests(outcome)["test"] for outcome in done.values()}) > 1:
        remarks += ("its seeds were evaluated on different test listings",)
    entries = []
    for protocol in cell.protocols:
        found = {seed: results[protocol] for seed, results in read.items()}
        names = dict.fromkeys(name for result in found.values() for name in result["mean"])
        entries.append(
            Entry(
                row=cell.row.name,
                dataset=cell.dataset,
                protocol=protocol,
                values={name: [result["mean"][name] for result in found.values()] for name in names},
                seeds=tuple(found),
                conditions=_shared([result["conditions"] for result in found.values()]),
                synthetic=cell.synthetic,
                failures=failures,
                remarks=remarks,
            )
        )
    return entries


def _digests(outcome: Outcome) -> dict[str, str]:
    """Digests of the listings that a finished run was trained and evaluated on; "" where they are not recorded."""
    found = (recorded(outcome.folder) if outcome.done else None) or {}
    splits = {"training": (found.get("trained_on") or {}).get("training"), "test": found.get("test")}
    return {split: str((summary or {}).get("digest", "")) for split, summary in splits.items()}


def _read(file: Path) -> Mapping[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))["results"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: not the results of a run; delete that folder and start the suite again") from error


def _shared(stated: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Conditions that all seeds have in common; where they differ and must not, both values."""
    keys = dict.fromkeys(key for conditions in stated for key in conditions if key not in OWN)
    return {key: " / ".join(dict.fromkeys(str(conditions.get(key)) for conditions in stated)) for key in keys}


def _compare(plan: SuitePlan, outcomes: Mapping[str, Outcome]) -> list[Compared]:
    against = plan.suite.compare
    if not against:
        return []
    base = {cell.dataset: cell for cell in plan.cells if cell.row.name == against}
    compared = []
    for cell in plan.cells:
        if cell.row.name == against:
            continue
        for protocol in cell.protocols:
            found, reason = _difference(cell, base[cell.dataset], protocol, outcomes)
            compared.append(Compared(cell.row.name, against, cell.dataset, protocol, found, reason))
    return compared


def _difference(
    cell: Cell, base: Cell, protocol: str, outcomes: Mapping[str, Outcome]
) -> tuple[Sequence[Difference], str]:
    """Over the seeds that both rows have."""
    common = [seed for seed, run in cell.runs.items() if seed in base.runs and outcomes[run.address].done]
    common = [seed for seed in common if outcomes[base.runs[seed].address].done]
    places = [[outcomes[each.runs[seed].address].folder / "queries.npz" for seed in common] for each in (cell, base)]
    files = [[file for file in these if file.is_file()] for these in places]
    if not common:
        return (), "the rows have no finished seed in common"
    if not files[0] or not files[1]:
        return (), "a run has no queries.npz"
    try:
        return differences(files[0], files[1], protocol), ""
    except (ValueError, KeyError) as error:
        return (), str(error)


def _title(row: str, dataset: str) -> str:
    return f"{row} on {dataset}" if dataset else row
