"""Write the page of a suite: sortable tables, differences, costs, figures, configs and the command of each run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vireid.suites.baseline import Compared
from vireid.suites.cost_table import Costs
from vireid.suites.plan import Cell
from vireid.suites.results import Results
from vireid.suites.tables import Table, Value, differences_frame
from vireid.visualize.rendering import PageImage, render_page
from vireid.visualize.tiles import png_uri

SECTIONS: Mapping[str, str] = {
    "results": "Results",
    "differences": "Differences",
    "costs": "Costs",
    "figures": "Figures",
    "reproduce": "Reproduce a result",
    "environment": "Environment",
}  # id -> heading, in the order of the page


@dataclass(frozen=True)
class TableItem:
    """A table of results: headings, and for each row its values in the order of the headings."""

    title: str
    headings: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Value | None]]]
    notes: Sequence[str]


@dataclass(frozen=True)
class DifferenceRow:
    """Differences of one row to the reference row as text, in the order of `MAIN_METRICS`."""

    name: str
    place: str  # dataset and protocol
    differences: Sequence[str]


@dataclass(frozen=True)
class DifferencesItem:
    """The table of differences to the reference row `against`."""

    against: str
    headings: Sequence[str]
    rows: Sequence[DifferenceRow]


@dataclass(frozen=True)
class CostsItem:
    """The table of costs; `-` for a cost that is unknown on this machine."""

    headings: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True)
class CellItem:
    """How to reproduce the results of a row: state and command of each seed, resolved config of the first."""

    title: str
    states: str
    commands: str
    config: str


@dataclass(frozen=True)
class SuitePage:
    """Content of the template `suite.html.j2`."""

    title: str
    note: str
    sections: Mapping[str, str]  # those with content: id -> heading
    tables: Sequence[TableItem]
    failures: Sequence[str]
    differences: DifferencesItem | None
    costs: CostsItem | None
    figures: Sequence[PageImage]
    cells: Sequence[CellItem]
    environment: Mapping[str, object]


def html(
    results: Results,
    tables: Sequence[Table],
    *,
    figures: Mapping[str, Path] | None = None,
    commands: Mapping[str, Sequence[str]] | None = None,
    environment: Mapping[str, object] | None = None,
) -> str:
    """Render the page as HTML text; figures are inlined.

    Args:
        results: Results of the suite.
        tables: Tables of the results, see `vireid.suites.tables.tables`.
        figures: Caption -> PNG file.
        commands: Address of a run -> words of its command.
        environment: Names and values of the last section.
    """
    page = suite_page(results, tables, figures or {}, commands or {}, environment or {})
    return render_page("suite.html.j2", page, script="sort_table.js")


def suite_page(
    results: Results,
    tables: Sequence[Table],
    figures: Mapping[str, Path],
    commands: Mapping[str, Sequence[str]],
    environment: Mapping[str, object],
) -> SuitePage:
    """Collect the content of all sections."""
    suite, failures = results.plan.suite, results.failures()
    has_content = {
        "results": bool(tables or failures),
        "differences": bool(results.compared),
        "costs": results.costs is not None,
        "figures": bool(figures),
        "reproduce": bool(results.plan.cells),
        "environment": True,
    }
    return SuitePage(
        title=suite.title,
        note=suite.note,
        sections={name: title for name, title in SECTIONS.items() if has_content[name]},
        tables=[_table_item(table) for table in tables],
        failures=failures,
        differences=_differences_item(results.compared) if results.compared else None,
        costs=_costs_item(results.costs) if results.costs is not None else None,
        figures=[PageImage(png_uri(path.read_bytes()), caption) for caption, path in figures.items()],
        cells=[_cell_item(results, cell, commands) for cell in results.plan.cells],
        environment=environment,
    )


def _table_item(table: Table) -> TableItem:
    return TableItem(
        title=table.title,
        headings=[table.heading(column) for column in table.columns],
        rows=[(row, [values.get(column) for column in table.columns]) for row, values in table.lines.items()],
        notes=table.notes,
    )


def _differences_item(compared: Sequence[Compared]) -> DifferencesItem:
    frame = differences_frame(compared)
    rows = [DifferenceRow(row, place, texts) for row, (place, *texts) in zip(frame.index, frame.to_numpy().tolist())]
    return DifferencesItem(compared[0].against, list(frame.columns[1:]), rows)


def _costs_item(costs: Costs) -> CostsItem:
    frame = costs.to_frame()
    return CostsItem(list(frame.columns), list(zip(frame.index, frame.to_numpy().tolist())))


def _cell_item(results: Results, cell: Cell, commands: Mapping[str, Sequence[str]]) -> CellItem:
    states = ", ".join(
        f"seed {seed}: {'done' if results.outcomes[run.address].done else 'failed'} ({run.address})"
        for seed, run in cell.runs.items()
    )
    return CellItem(
        title=f"{cell.row.name} on {cell.dataset}" if cell.dataset else cell.row.name,
        states=states,
        commands="\n".join(shlex.join(commands.get(run.address, run.words())) for run in cell.runs.values()),
        config=next(iter(cell.runs.values())).resolved,
    )
