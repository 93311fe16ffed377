"""Results as tables: Markdown for a page, LaTeX (booktabs) for a paper, CSV for everything else."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vireid.suites.cost_table import Costs
from vireid.suites.results import Compared, Entry, Results

DAGGER = "†"
ORACLE_NOTE = "† oracle: the test images' attributes are the labels of their identities"
SYNTHETIC_NOTE = "measured on synthetic people: these numbers say nothing about real data sets"
MIXED_NOTE = (
    "reported numbers are of real people, measured ones of synthetic people: they stand in one table only so that the"
    " rows can be found, and must not be compared"
)
HEADINGS = {"rank1": "R1", "rank5": "R5", "rank10": "R10", "rank20": "R20"}


@dataclass(frozen=True)
class Value:
    """What stands in a cell; percent."""

    mean: float | None = None  # None: no result
    spread: float | None = None
    oracle: bool = False
    best: bool = False
    reported: float | None = None  # what was published

    def text(self) -> str:
        """Plain text.

        >>> Value(61.63, 0.4, oracle=True).text(), Value().text()
        ('61.6 ± 0.4 †', 'failed')
        """
        if self.mean is None:
            return "failed"
        spread = "" if self.spread is None else f" ± {self.spread:.1f}"
        return f"{self.mean:.1f}{spread}{f' {DAGGER}' if self.oracle else ''}"


@dataclass(frozen=True)
class Table:
    """Rows by (data set, protocol, metric) columns, all with the same re-ranking."""

    title: str
    columns: Sequence[tuple[str, str, str]]
    lines: Mapping[str, Mapping[tuple[str, str, str], Value]]
    notes: Sequence[str]

    def heading(self, column: tuple[str, str, str]) -> str:
        dataset, protocol, metric = column
        several = len({(d, p) for d, p, _ in self.columns}) > 1
        group = " ".join(word for word in (dataset, protocol) if word) if several else ""
        return f"{group} {HEADINGS.get(metric, metric)}".strip()


def tables(results: Results, published: Mapping[str, Mapping[str, float]] | None = None) -> list[Table]:
    """One table for each way of re-ranking; rows and columns in the order of the suite.

    `published`: row -> "dataset/protocol/metric" or "protocol/metric" or "metric" -> percent. The best mean of a column
    is marked among the rows that know no labels at test time.
    """
    suite = results.plan.suite
    ways = dict.fromkeys(entry.re_ranking for entry in results.entries if entry.values) or {"none": None}
    made = []
    for way in ways:
        entries = [entry for entry in results.entries if entry.re_ranking == way or not entry.values]
        columns = list(dict.fromkeys((e.dataset, e.protocol, metric) for e in entries for metric in suite.columns))
        lines: dict[str, dict[tuple[str, str, str], Value]] = {}
        for entry in entries:
            for metric in suite.columns:
                column = (entry.dataset, entry.protocol, metric)
                lines.setdefault(entry.row, {})[column] = _value(entry, metric, column, published or {})
        made.append(Table(_heading(suite.title, way), columns, _with_best(lines, columns), _notes(entries, lines, way)))
    return made


def _heading(title: str, way: str) -> str:
    return title if way == "none" else f"{title}, re-ranked: {way}"


def _value(entry: Entry, metric: str, column: tuple[str, str, str], published: Mapping) -> Value:
    known = published.get(entry.row, {})
    names = ("/".join(column), "/".join(column[1:]), metric)
    reported = next((known[name] for name in names if name in known), None)
    mean, spread = entry.mean(metric), entry.spread(metric)
    return Value(
        None if mean is None else 100 * mean,
        None if spread is None else 100 * spread,
        oracle=entry.oracle,
        reported=reported,
    )


def _with_best(lines: Mapping[str, Mapping], columns: Sequence[tuple[str, str, str]]) -> dict[str, dict]:
    marked = {row: dict(values) for row, values in lines.items()}
    for column in columns:
        fair = {
            row: values[column].mean
            for row, values in lines.items()
            if column in values and values[column].mean is not None and not values[column].oracle
        }
        if len(fair) > 1:
            top = max(round(value, 1) for value in fair.values())
            for row, value in fair.items():
                if round(value, 1) == top:
                    old = marked[row][column]
                    marked[row][column] = Value(old.mean, old.spread, old.oracle, True, old.reported)
    return marked


def _notes(entries: Sequence[Entry], lines: Mapping[str, Mapping], way: str) -> list[str]:
    seeds = {len(entry.seeds) for entry in entries if entry.seeds}
    several = max(seeds, default=1) > 1
    notes = [
        f"percent; mean ± sample standard deviation over {_count(seeds)} seeds" if several else "percent; one seed"
    ]
    notes.append(f"re-ranking: {way}")
    if any(entry.oracle for entry in entries):
        notes.append(ORACLE_NOTE)
    if any(entry.synthetic for entry in entries):
        reported = any(value.reported is not None for values in lines.values() for value in values.values())
        notes.append(MIXED_NOTE if reported else SYNTHETIC_NOTE)
    stated = [entry.conditions for entry in entries if entry.conditions]
    keys = dict.fromkeys(key for conditions in stated for key in conditions if key not in ("re_ranking",))
    shared = {k: stated[0].get(k) for k in keys if len({conditions.get(k) for conditions in stated}) == 1}
    if shared:
        notes.append(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in shared.items()))
    for remark in dict.fromkeys(remark for entry in entries for remark in entry.remarks):
        rows = dict.fromkeys(entry.row for entry in entries if remark in entry.remarks)
        notes.append(f"{', '.join(rows)}: {remark}")
    return notes


def _count(seeds: set[int]) -> str:
    return str(next(iter(seeds))) if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"


def markdown(
    made: Sequence[Table],
    compared: Sequence[Compared] = (),
    failures: Sequence[str] = (),
    costs: Costs | None = None,
) -> str:
    """All tables, then the differences, what the rows cost, and what failed and why."""
    parts = []
    for table in made:
        cells = [["", *(table.heading(column) for column in table.columns)]]
        for row, values in table.lines.items():
            cells.append([row, *(_markdown_cell(values.get(column)) for column in table.columns)])
        parts.append(f"## {table.title}\n\n{_grid(cells)}\n\n" + "\n".join(f"- {note}" for note in table.notes))
    if compared:
        parts.append(_markdown_differences(compared))
    if costs:
        parts.append(f"## Costs\n\n{_grid(costs.grid())}")
    if failures:
        parts.append("## Failed\n\n" + "\n".join(f"- {failure}" for failure in failures))
    return "\n\n".join(parts) + "\n"


def _markdown_cell(value: Value | None) -> str:
    if value is None:
        return "-"
    text = f"**{value.text()}**" if value.best else value.text()
    return text if value.reported is None else f"{text} ({value.reported:.1f})"


def _grid(cells: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
    lines.insert(1, "|" + "---|" * len(cells[0]))
    return "\n".join(lines)


def _markdown_differences(compared: Sequence[Compared]) -> str:
    cells = [["", "data set, protocol", "R1", "mAP", "mINP"]]
    for pair in compared:
        place = " ".join(word for word in (pair.dataset, pair.protocol) if word)
        by_metric = {d.metric: d for d in pair.differences}
        texts = [difference_text(by_metric.get(metric), pair.reason) for metric in ("rank1", "mAP", "mINP")]
        cells.append([pair.row, place, *texts])
    against = compared[0].against
    return (
        f"## Differences to {against}\n\n{_grid(cells)}\n\n"
        "- points, with the 95 % interval of a paired bootstrap over the queries; other seeds are not in it\n"
        "- 0 in the interval: the queries do not show which of the two is better"
    )


def difference_text(difference, reason: str) -> str:
    """`+2.1 [+0.4, +3.9]`, and a remark where the interval includes zero."""
    if difference is None:
        return f"none ({reason})" if reason else "none"
    text = f"{100 * difference.value:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"
    return f"{text}, 0 in it" if difference.includes_zero else text


def comma_separated(results: Results) -> str:
    """One line for each row, data set, protocol and metric; scores in percent, as many digits as there are."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    head = "row dataset protocol metric mean std seeds attribute_source re_ranking synthetic_people failures"
    writer.writerow(head.split())
    for entry in results.entries:
        for metric in results.plan.suite.columns:
            mean, spread = entry.mean(metric), entry.spread(metric)
            writer.writerow(
                [
                    entry.row,
                    entry.dataset,
                    entry.protocol,
                    metric,
                    "" if mean is None else f"{100 * mean:.4f}",
                    "" if spread is None else f"{100 * spread:.4f}",
                    " ".join(map(str, entry.seeds)),
                    entry.conditions.get("attribute_source", ""),
                    entry.re_ranking,
                    int(entry.synthetic),
                    "; ".join(f"{seed}: {reason}" for seed, reason in entry.failures.items()),
                ]
            )
    return file.getvalue()


_TEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    DAGGER: r"$^\dagger$",
    "±": r"$\pm$",
}


def tex_escaped(text: str) -> str:
    r"""Text for LaTeX.

    >>> tex_escaped("a_b & 5 %")
    'a\\_b \\& 5 \\%'
    """
    return "".join(_TEX.get(character, character) for character in text)


def latex(made: Sequence[Table], costs: Costs | None = None) -> str:
    """Each table as a `table` of booktabs; the best of a column in bold, notes in the caption."""
    parts = []
    for table in made:
        lines = [["", *(tex_escaped(table.heading(column)) for column in table.columns)]]
        for row, values in table.lines.items():
            lines.append([tex_escaped(row), *(_tex_cell(values.get(column)) for column in table.columns)])
        parts.append(_tex_table(lines, f"{table.title}. {'. '.join(table.notes)}."))
    if costs:
        parts.append(_tex_table([[tex_escaped(cell) for cell in line] for line in costs.grid()], "Costs."))
    return "% needs \\usepackage{booktabs}\n" + "\n\n".join(parts) + "\n"


def _tex_table(lines: Sequence[Sequence[str]], caption: str) -> str:
    """Cells that are LaTeX already, the headings first; the caption is plain text."""
    head, *body = [" & ".join(line) + r" \\" for line in lines]
    columns = "l" + "r" * (len(lines[0]) - 1)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{tex_escaped(caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def _tex_cell(value: Value | None) -> str:
    if value is None:
        return "--"
    text = tex_escaped(value.text())
    return rf"\textbf{{{text}}}" if value.best else text
