"""Tables of a suite: Markdown, LaTeX (booktabs) and CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vireid.evaluation.report import DAGGER, MAIN_METRICS, ORACLE_NOTE, conditions_text
from vireid.suites.baseline import Compared
from vireid.suites.bootstrap import Difference
from vireid.suites.cost_table import Costs
from vireid.suites.results import Entry, Results

if TYPE_CHECKING:
    from pandas import DataFrame

SYNTHETIC_NOTE = "measured on synthetic people: these numbers say nothing about real datasets"
MIXED_NOTE = "reported numbers are on real data, measured numbers on synthetic data: they must not be compared"
CROSS = "‡"  # marks scores of a model of another dataset
CROSS_NOTE = f"{CROSS} cross-dataset: the model was not trained on the dataset of the column"
MATRIX_NOTE = "rows: trained on; columns: tested on; each model is trained once"
HEADINGS = {"rank1": "R1", "rank5": "R5", "rank10": "R10", "rank20": "R20"}


@dataclass(frozen=True)
class Value:
    """Content of a cell, in percent."""

    mean: float | None = None  # None: no result
    spread: float | None = None
    oracle: bool = False
    best: bool = False
    cross: bool = False  # trained on another dataset
    reported: float | None = None  # published number

    def text(self) -> str:
        """Format mean and spread.

        >>> Value(61.63, 0.4, oracle=True).text(), Value().text()
        ('61.6 ± 0.4 †', 'failed')
        """
        if self.mean is None:
            return "failed"
        spread = "" if self.spread is None else f" ± {self.spread:.1f}"
        marks = f"{f' {DAGGER}' if self.oracle else ''}{f' {CROSS}' if self.cross else ''}"
        return f"{self.mean:.1f}{spread}{marks}"


@dataclass(frozen=True)
class Table:
    """Rows by (dataset, protocol, metric) columns, all with the same re-ranking."""

    title: str
    columns: Sequence[tuple[str, str, str]]
    lines: Mapping[str, Mapping[tuple[str, str, str], Value]]
    notes: Sequence[str]

    def heading(self, column: tuple[str, str, str]) -> str:
        """Format the heading of a column; dataset and protocol only if the table has several."""
        dataset, protocol, metric = column
        several = len({(d, p) for d, p, _ in self.columns}) > 1
        group = " ".join(word for word in (dataset, protocol) if word) if several else ""
        return f"{group} {HEADINGS.get(metric, metric)}".strip()

    def to_frame(self, cell: Callable[[Value | None], str]) -> DataFrame:
        """Return a frame of texts, with one row for each row of the suite and the headings as columns.

        Args:
            cell: Formats a value; None where a row does not have the column.
        """
        import pandas

        cells = {row: [cell(values.get(column)) for column in self.columns] for row, values in self.lines.items()}
        headings = [self.heading(column) for column in self.columns]
        return pandas.DataFrame.from_dict(cells, orient="index", columns=headings)


def tables(results: Results, published: Mapping[str, Mapping[str, float]] | None = None) -> list[Table]:
    """Make one table for each re-ranking; rows and columns are in the order of the suite.

    The best mean of each column is marked, oracles excluded.

    Args:
        results: Results of the suite.
        published: Row -> "dataset/protocol/metric", "protocol/metric" or "metric" -> percent.
    """
    suite = results.plan.suite
    ways = dict.fromkeys(entry.re_ranking for entry in results.entries if entry.values) or {"none": None}
    suite_tables: list[Table] = []
    for way in ways:
        entries = [entry for entry in results.entries if entry.re_ranking == way or not entry.values]
        columns = list(dict.fromkeys((e.dataset, e.protocol, metric) for e in entries for metric in suite.columns))
        lines: dict[str, dict[tuple[str, str, str], Value]] = {}
        for entry in entries:
            for metric in suite.columns:
                column = (entry.dataset, entry.protocol, metric)
                lines.setdefault(entry.row, {})[column] = _value(entry, metric, column, published or {})
        suite_tables.append(
            Table(
                _heading(suite.title, way),
                columns,
                _with_best(lines, columns),
                [*([MATRIX_NOTE] if suite.evaluate_on else []), *_notes(entries, lines, way)],
            )
        )
    return suite_tables


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
        cross=entry.cross_dataset,
        reported=reported,
    )


def _with_best(lines: Mapping[str, Mapping], columns: Sequence[tuple[str, str, str]]) -> dict[str, dict]:
    """Mark the best rounded mean of each column that has at least two means; oracles are excluded."""
    marked = {row: dict(values) for row, values in lines.items()}
    for column in columns:
        means = {
            row: round(values[column].mean, 1)
            for row, values in lines.items()
            if column in values and values[column].mean is not None and not values[column].oracle
        }
        for row, mean in means.items():
            if len(means) > 1 and mean == max(means.values()):
                marked[row][column] = replace(marked[row][column], best=True)
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
    if any(entry.cross_dataset for entry in entries):
        notes.append(CROSS_NOTE)
    if any(entry.synthetic for entry in entries):
        reported = any(value.reported is not None for values in lines.values() for value in values.values())
        notes.append(MIXED_NOTE if reported else SYNTHETIC_NOTE)
    stated = [entry.conditions for entry in entries if entry.conditions]
    keys = dict.fromkeys(key for conditions in stated for key in conditions if key not in ("re_ranking",))
    shared = {k: stated[0].get(k) for k in keys if len({conditions.get(k) for conditions in stated}) == 1}
    if shared:
        notes.append(conditions_text(shared))
    for remark in dict.fromkeys(remark for entry in entries for remark in entry.remarks):
        rows = dict.fromkeys(entry.row for entry in entries if remark in entry.remarks)
        notes.append(f"{', '.join(rows)}: {remark}")
    return notes


def _count(seeds: set[int]) -> str:
    return str(next(iter(seeds))) if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"


def markdown(
    suite_tables: Sequence[Table],
    compared: Sequence[Compared] = (),
    failures: Sequence[str] = (),
    costs: Costs | None = None,
) -> str:
    """Format all tables, then the differences, the costs, and the failed runs with their reasons."""
    parts = [
        f"## {table.title}\n\n{_pipes(table.to_frame(_markdown_cell))}\n\n"
        + "\n".join(f"- {note}" for note in table.notes)
        for table in suite_tables
    ]
    if compared:
        parts.append(
            f"## Differences to {compared[0].against}\n\n{_pipes(differences_frame(compared))}\n\n"
            "- points, with the 95 % interval of a paired bootstrap over the queries; other seeds are not in it\n"
            "- 0 in the interval: the queries do not show which of the two is better"
        )
    if costs:
        parts.append(f"## Costs\n\n{_pipes(costs.to_frame())}")
    if failures:
        parts.append("## Failed\n\n" + "\n".join(f"- {failure}" for failure in failures))
    return "\n\n".join(parts) + "\n"


def _markdown_cell(value: Value | None) -> str:
    if value is None:
        return "-"
    text = f"**{value.text()}**" if value.best else value.text()
    return text if value.reported is None else f"{text} ({value.reported:.1f})"


def _pipes(frame: DataFrame) -> str:
    """Format a frame of texts as a Markdown table, the index as first column."""
    cells = [["", *frame.columns], *([name, *row] for name, row in zip(frame.index, frame.to_numpy().tolist()))]
    lines = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(cells[0]), *lines[1:]])


def differences_frame(compared: Sequence[Compared]) -> DataFrame:
    """Return the differences to the baseline row as texts, one row for each row and protocol."""
    import pandas

    columns = ["dataset, protocol", *(HEADINGS.get(metric, metric) for metric in MAIN_METRICS)]
    rows = []
    for pair in compared:
        by_metric = {difference.metric: difference for difference in pair.differences}
        texts = [difference_text(by_metric.get(metric), pair.reason) for metric in MAIN_METRICS]
        rows.append([" ".join(word for word in (pair.dataset, pair.protocol) if word), *texts])
    return pandas.DataFrame(rows, index=[pair.row for pair in compared], columns=columns)


def difference_text(difference: Difference | None, reason: str) -> str:
    """Format a difference in points, with a remark if the interval includes zero.

    >>> difference_text(Difference("mAP", 0.021, -0.004, 0.039, 100), "")
    '+2.1 [-0.4, +3.9], 0 in it'
    """
    if difference is None:
        return f"none ({reason})" if reason else "none"
    text = f"{100 * difference.value:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"
    return f"{text}, 0 in it" if difference.includes_zero else text


def comma_separated(results: Results) -> str:
    """Format `Results.to_frame` as CSV; mean and std in percent."""
    frame = results.to_frame()
    frame[["mean", "std"]] *= 100
    return frame.to_csv(index=False, float_format="%.4f", lineterminator="\n")


_TEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    DAGGER: r"$^\dagger$",
    CROSS: r"$^\ddagger$",
    "±": r"$\pm$",
}


def tex_escaped(text: str) -> str:
    r"""Escape text for LaTeX.

    >>> tex_escaped("a_b & 5 %")
    'a\\_b \\& 5 \\%'
    """
    return "".join(_TEX.get(character, character) for character in text)


def latex(suite_tables: Sequence[Table], costs: Costs | None = None) -> str:
    """Format each table as a `table` of booktabs; the best of a column in bold, the notes in the caption."""
    parts = [
        _tex_table(table.to_frame(_tex_cell), f"{table.title}. {'. '.join(table.notes)}.") for table in suite_tables
    ]
    if costs:
        parts.append(_tex_table(costs.to_frame().map(tex_escaped), "Costs."))
    return "% needs \\usepackage{booktabs}\n" + "\n".join(parts)


def _tex_table(frame: DataFrame, caption: str) -> str:
    """Format a frame of LaTeX cells; row names, headings and caption are plain text."""
    frame = frame.rename(index=tex_escaped, columns=tex_escaped)
    return frame.style.to_latex(
        hrules=True,
        position_float="centering",
        column_format="l" + "r" * len(frame.columns),
        caption=tex_escaped(caption),
    )


def _tex_cell(value: Value | None) -> str:
    if value is None:
        return "--"
    text = tex_escaped(value.text())
    return rf"\textbf{{{text}}}" if value.best else text
