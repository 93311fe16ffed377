"""`report.html` of a suite: tables that sort, differences, pictures, configs and how to make each number again."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from vireid.suites.cost_table import Costs
from vireid.suites.plan import Cell
from vireid.suites.results import Compared, Results
from vireid.suites.tables import HEADINGS, Table, Value, difference_text
from vireid.visualize import markup

SECTIONS = (
    ("results", "Results"),
    ("differences", "Differences"),
    ("costs", "Costs"),
    ("figures", "Figures"),
    ("again", "Making a number again"),
    ("environment", "Environment"),
)


def html(
    results: Results,
    made: Sequence[Table],
    *,
    figures: Mapping[str, Path] | None = None,
    commands: Mapping[str, Sequence[str]] | None = None,
    environment: Mapping[str, object] | None = None,
) -> str:
    """The page as text; pictures are inlined, nothing comes from a network.

    `figures`: caption -> PNG. `commands`: address of a run -> words of its command.
    """
    suite, figures = results.plan.suite, figures or {}
    parts = {
        "results": [_table(table) for table in made] + [_failures(results.failures())],
        "differences": [_differences(results.compared)],
        "costs": [_costs(results.costs)] if results.costs else [],
        "figures": [_figure(caption, path) for caption, path in figures.items()],
        "again": [_cell(results, cell, commands or {}) for cell in results.plan.cells],
        "environment": [markup.facts(environment or {})],
    }
    shown = [(name, title) for name, title in SECTIONS if any(parts[name])]
    body = [
        "<header>",
        '<p class="kicker">vireid suite</p>',
        f"<h1>{escape(suite.title)}</h1>",
        markup.paragraph(suite.note, "lead") if suite.note else "",
        markup.navigation(shown),
        "</header><main>",
        *(markup.section(name, title, *parts[name]) for name, title in shown),
        "</main>",
        "<footer>Made by vireid from the saved results of the runs. The page needs no network.</footer>",
    ]
    return markup.document(f"{suite.title}: vireid suite", "\n".join(body), script=markup.SORTING)


def _table(table: Table) -> str:
    heads = "".join(
        f'<th scope="col"><button type="button">{escape(table.heading(column))}</button></th>'
        for column in table.columns
    )
    lines = []
    for row, values in table.lines.items():
        cells = "".join(_td(values.get(column)) for column in table.columns)
        lines.append(f'<tr><th scope="row">{escape(row)}</th>{cells}</tr>')
    notes = "".join(markup.paragraph(note, "faint") for note in table.notes)
    return (
        f"<h3>{escape(table.title)}</h3>"
        f'<div class="scroll"><table class="results sorted"><thead><tr><th scope="col">Row</th>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>{notes}"
    )


def _td(value: Value | None) -> str:
    if value is None:
        return '<td data-value="">-</td>'
    if value.mean is None:
        return '<td data-value="" class="failed">failed</td>'
    spread = "" if value.spread is None else f' <span class="spread">± {value.spread:.1f}</span>'
    mean = f"<b>{value.mean:.1f}</b>" if value.best else f"{value.mean:.1f}"
    oracle = ' <span title="oracle">†</span>' if value.oracle else ""
    reported = "" if value.reported is None else f' <span class="spread">(reported {value.reported:.1f})</span>'
    return f'<td data-value="{value.mean:.4f}">{mean}{spread}{oracle}{reported}</td>'


def _failures(failures: Sequence[str]) -> str:
    if not failures:
        return ""
    return "<h3>Failed</h3><ul>" + "".join(f'<li class="failed">{escape(text)}</li>' for text in failures) + "</ul>"


def _differences(compared: Sequence[Compared]) -> str:
    if not compared:
        return ""
    metrics = ("rank1", "mAP", "mINP")
    heads = "".join(f'<th scope="col">{HEADINGS.get(metric, metric)}</th>' for metric in metrics)
    lines = []
    for pair in compared:
        by_metric = {difference.metric: difference for difference in pair.differences}
        cells = "".join(f"<td>{escape(difference_text(by_metric.get(m), pair.reason))}</td>" for m in metrics)
        place = " ".join(word for word in (pair.dataset, pair.protocol) if word)
        lines.append(f'<tr><th scope="row">{escape(pair.row)}</th><td>{escape(place)}</td>{cells}</tr>')
    note = (
        f"Points more than {compared[0].against}, with the 95 % interval of a paired bootstrap over the queries; other"
        " seeds are not in it. 0 in it: the queries do not show which of the two is better."
    )
    return (
        '<div class="scroll"><table class="results"><thead><tr><th scope="col">Row</th><th scope="col">Where</th>'
        f"{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>{markup.paragraph(note, 'faint')}"
    )


def _costs(costs: Costs) -> str:
    head, *lines = costs.grid()
    heads = "".join(f'<th scope="col"><button type="button">{escape(text)}</button></th>' for text in head[1:])
    body = "".join(
        f'<tr><th scope="row">{escape(line[0])}</th>'
        + "".join(f'<td data-value="{"" if text == "-" else text}">{text}</td>' for text in line[1:])
        + "</tr>"
        for line in lines
    )
    return (
        '<div class="scroll"><table class="results sorted"><thead><tr><th scope="col">Row</th>'
        f"{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _figure(caption: str, path: Path) -> str:
    uri = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    return f'<div class="plots wide">{markup.figure(markup.picture(uri, caption), escape(caption))}</div>'


def _cell(results: Results, cell: Cell, commands: Mapping[str, Sequence[str]]) -> str:
    """How a row's numbers are made again, seed by seed, and the config that they stand for."""
    title = f"{cell.row.name} on {cell.dataset}" if cell.dataset else cell.row.name
    lines = [shlex.join(commands.get(run.address, run.words())) for run in cell.runs.values()]
    first = next(iter(cell.runs.values()))
    states = ", ".join(
        f"seed {seed}: {'done' if results.outcomes[run.address].done else 'failed'} ({run.address})"
        for seed, run in cell.runs.items()
    )
    return (
        f"<details><summary>{escape(title)}</summary>{markup.paragraph(states, 'faint')}"
        f"<pre>{escape(chr(10).join(lines))}</pre><pre>{escape(first.resolved)}</pre></details>"
    )
