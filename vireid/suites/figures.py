"""Figures that a suite asks for, from the saved results and checkpoints of its runs.

FIGURES:
  LOSSES: {KIND: curves, TERMS: [attributes, id], ROWS: [PAE, AAL]}
  LAMBDA: {KIND: sweep, KEY: OBJECTIVE.ATTRIBUTES.WEIGHT, METRICS: [rank1, mAP]}
  MAP: {KIND: tsne, ROWS: [MMD], PEOPLE: 20}
  LOOKS: {KIND: attention, ROWS: [MMD, PAENet], PEOPLE: 4}
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vireid.core.errors import ConfigError, UserError, nearest
from vireid.core.io import replaced_file
from vireid.runs.folder import RunFolder
from vireid.runs.history import read_history
from vireid.runs.results import read_embeddings
from vireid.suites.plan import Cell
from vireid.suites.results import Results
from vireid.suites.suite import Suite
from vireid.visualize import drawing, scatter
from vireid.visualize.curves import term_curves
from vireid.visualize.plots.attention_energy import attention_picture

Draw = Callable[..., dict[str, bytes]]
KINDS: dict[str, Draw] = {}


def figure_kind(draw: Draw) -> Draw:
    """Register a kind by the function's name. It takes results and keyword arguments, the node's keys in lower case,
    and gives PNGs by caption."""
    KINDS[draw.__name__] = draw
    return draw


def check_figures(suite: Suite) -> None:
    """Refuse kinds and keys that do not exist, all at once."""
    problems = []
    for name, node in suite.figures.items():
        place = f"{suite.file.name}: FIGURES.{name}"
        if node["KIND"] not in KINDS:
            known = f"{nearest(str(node['KIND']), KINDS)} (there are: {', '.join(KINDS)})"
            problems.append(f"{place}.KIND = {node['KIND']!r} is no kind of figure{known}")
            continue
        takes = [key.upper() for key in inspect.signature(KINDS[node["KIND"]]).parameters if key != "results"]
        for key in node:
            if key != "KIND" and key not in takes:
                problems.append(f"{place}.{key} is no key of {node['KIND']}{nearest(key, takes)}")
    if problems:
        raise ConfigError(problems)


def draw_figures(results: Results, folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Every figure of the suite: caption -> PNG, and a sentence for each that could not be drawn."""
    drawn, faults = {}, []
    for name, node in results.plan.suite.figures.items():
        arguments = {key.lower(): value for key, value in node.items() if key != "KIND"}
        try:
            pictures = KINDS[node["KIND"]](results, **arguments)
        except UserError as error:
            faults.append(f"figure {name}: {error}")
            continue
        for number, (caption, content) in enumerate(pictures.items()):
            suffix = f"_{number + 1}" if len(pictures) > 1 else ""
            path = folder / f"{name.lower()}{suffix}.png"
            with replaced_file(path) as file:
                file.write(content)
            drawn[caption] = path
    return drawn, faults


def _first_runs(results: Results, rows: Sequence[str]) -> dict[str, Path]:
    """Row -> folder of its first finished seed on the first data set."""
    folders: dict[str, Path] = {}
    for cell in results.plan.cells:
        if cell.row.name in folders or (rows and cell.row.name not in rows):
            continue
        done = [results.outcomes[run.address] for run in cell.runs.values()]
        done = [outcome for outcome in done if outcome.done]
        if done:
            folders[cell.row.name] = done[0].folder
    missing = [row for row in rows if row not in folders]
    if missing or not folders:
        raise UserError(f"no finished run of {', '.join(missing) or 'any row'}")
    return folders


@figure_kind
def curves(results: Results, *, terms: Sequence[str], rows: Sequence[str] = ()) -> dict[str, bytes]:
    """Mean of each term over the epochs, a line for each row that has the term, first seed."""
    epochs = {row: read_history(RunFolder(folder).log).epochs for row, folder in _first_runs(results, rows).items()}
    return {f"{term}: mean loss of each epoch": term_curves(epochs, term) for term in terms}


@figure_kind
def sweep(results: Results, *, key: str, metrics: Sequence[str] = ("rank1", "mAP")) -> dict[str, bytes]:
    """Scores over the values that one key takes in the rows; bars are one standard deviation over seeds."""
    points: dict[str, list[tuple[float, float, float]]] = {}
    values = {cell.row.name: _value(cell, key) for cell in results.plan.cells}
    for entry in results.entries:
        for metric in metrics:
            mean = entry.mean(metric)
            if mean is not None and values[entry.row] is not None:
                name = f"{entry.protocol} {metric}" + (f" {entry.dataset}" if entry.dataset else "")
                point = (float(values[entry.row] or 0), 100 * mean, 100 * (entry.spread(metric) or 0))
                points.setdefault(name, []).append(point)
    if not points:
        raise UserError(f"no row sets {key}, or none has a result")
    with drawing.figure_of(drawing.LIGHT, height=4.0) as (figure, (axes,)):
        for number, (name, line) in enumerate(points.items()):
            places, means, spreads = zip(*sorted(line))
            style = drawing.look(drawing.LIGHT, number)
            axes.errorbar(places, means, yerr=spreads, marker="o", capsize=4, label=name, **style)
        axes.set_xlabel(key)
        axes.set_ylabel("score (%)")
        drawing.legend(figure, axes)
        return {f"Scores over {key}": drawing.save(figure, drawing.LIGHT)}


def _value(cell: Cell, key: str) -> Any:
    return cell.row.overrides.get(key)


@figure_kind
def tsne(
    results: Results, *, rows: Sequence[str] = (), people: int = 20, images: int = 10, seed: int = 0
) -> dict[str, bytes]:
    """A map of the test people's descriptors for each row, the same people in all."""
    return {
        f"{row}: {people} test people": scatter.tsne_map(
            read_embeddings(folder), people=people, images=images, seed=seed, title=row
        )
        for row, folder in _first_runs(results, rows).items()
    }


@figure_kind
def attention_of(results: Results, *, rows: Sequence[str] = (), people: int = 4, seed: int = 0) -> dict[str, bytes]:
    """Where the networks of the rows look on the same people."""
    folders = _first_runs(results, rows)
    picture = attention_picture(list(folders.values()), people=people, seed=seed, names=list(folders))
    return {picture.caption: picture.png}


KINDS["attention"] = KINDS.pop("attention_of")
