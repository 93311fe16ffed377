"""Differences of the rows of a suite to its baseline row (COMPARE)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vireid.runs.folder import RunFolder
from vireid.suites.bootstrap import Difference, differences
from vireid.suites.plan import Cell, SuitePlan
from vireid.suites.runs import Outcome


@dataclass(frozen=True)
class Compared:
    """Differences of a row to the baseline row of the suite (COMPARE)."""

    row: str
    against: str
    dataset: str
    protocol: str
    differences: Sequence[Difference]
    reason: str = ""  # why the differences are missing


def compare_rows(plan: SuitePlan, outcomes: Mapping[str, Outcome]) -> list[Compared]:
    """Compute the differences of all rows to the baseline row; empty if the suite has no COMPARE."""
    against = plan.suite.compare
    if not against:
        return []
    base = {cell.dataset: cell for cell in plan.cells if cell.row.name == against}
    compared = []
    for cell in plan.cells:
        if cell.row.name == against:
            continue
        for protocol in cell.protocols:
            values, reason = _difference(cell, base[cell.dataset], protocol, outcomes)
            compared.append(Compared(cell.row.name, against, cell.dataset, protocol, values, reason))
    return compared


def _difference(
    cell: Cell, base: Cell, protocol: str, outcomes: Mapping[str, Outcome]
) -> tuple[Sequence[Difference], str]:
    """Compute the differences of two rows over their common finished seeds; the reason if that is not possible."""
    common = [seed for seed, run in cell.runs.items() if seed in base.runs and outcomes[run.address].done]
    common = [seed for seed in common if outcomes[base.runs[seed].address].done]
    files = [[RunFolder(outcomes[each.runs[seed].address].folder).queries for seed in common] for each in (cell, base)]
    files = [[file for file in paths if file.is_file()] for paths in files]
    if not common:
        return (), "the rows have no finished seed in common"
    if not files[0] or not files[1]:
        return (), "a run has no queries.npz"
    try:
        return differences(files[0], files[1], protocol), ""
    except ValueError as error:
        return (), str(error).splitlines()[0]
