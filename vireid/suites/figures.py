"""Figures of a suite, from the saved results and checkpoints of its runs.

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

from vireid.core.errors import ConfigError, Problem, UserError, closest
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


def figure_kind(name: str) -> Callable[[Draw], Draw]:
    """Register a function as a kind of figure.

    The function takes the results and keyword arguments (the keys of the node in lower case); it returns PNG files by
    caption.
    """

    def register(draw: Draw) -> Draw:
        KINDS[name] = draw
        return draw

    return register


def check_figures(suite: Suite) -> None:
    """Check the kinds and keys of all figures.

    Raises:
        ConfigError: With all problems.
    """
    problems, file = [], suite.file.name
    for name, node in suite.figures.items():
        kind = node["KIND"]
        if kind not in KINDS:
            text, note = f"= {kind!r} is not a kind of figure", f"(known: {', '.join(KINDS)})"
            problems.append(Problem(text, file, f"FIGURES.{name}.KIND", closest(str(kind), KINDS), note))
            continue
        keys = [key.upper() for key in inspect.signature(KINDS[kind]).parameters if key != "results"]
        problems += [
            Problem(f"is not a key of {kind}", file, f"FIGURES.{name}.{key}", closest(key, keys))
            for key in node
            if key != "KIND" and key not in keys
        ]
    if problems:
        raise ConfigError(problems)


def draw_figures(results: Results, folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Draw all figures of the suite.

    Returns:
        PNG file of each caption, and one sentence for each figure that could not be drawn.
    """
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
    """Return the run folder of the first finished seed of each row on its first dataset."""
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


@figure_kind("curves")
def curves(results: Results, *, terms: Sequence[str], rows: Sequence[str] = ()) -> dict[str, bytes]:
    """Plot the mean of loss terms over the epochs, one line for each row with the term; first seed."""
    epochs = {row: read_history(RunFolder(folder).log).epochs for row, folder in _first_runs(results, rows).items()}
    return {f"{term}: mean loss of each epoch": term_curves(epochs, term) for term in terms}


@figure_kind("sweep")
def sweep(results: Results, *, key: str, metrics: Sequence[str] = ("rank1", "mAP")) -> dict[str, bytes]:
    """Plot scores over the values of one key in the rows; error bars are one standard deviation over the seeds."""
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


@figure_kind("tsne")
def tsne(
    results: Results, *, rows: Sequence[str] = (), people: int = 20, images: int = 10, seed: int = 0
) -> dict[str, bytes]:
    """Draw a t-SNE map of the test embeddings of each row, for the same identities."""
    return {
        f"{row}: {people} test identities": scatter.tsne_map(
            read_embeddings(folder), people=people, images=images, seed=seed, title=row
        )
        for row, folder in _first_runs(results, rows).items()
    }


@figure_kind("attention")
def attention(results: Results, *, rows: Sequence[str] = (), people: int = 4, seed: int = 0) -> dict[str, bytes]:
    """Draw the activation maps of the networks of the rows, for the same identities."""
    folders = _first_runs(results, rows)
    picture = attention_picture(list(folders.values()), people=people, seed=seed, names=list(folders))
    return {picture.caption: picture.png}
