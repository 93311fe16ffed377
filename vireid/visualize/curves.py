"""Curves of a run: losses and learning rate, evaluations in between, CMC. PNG, for a light and a dark page."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vireid.visualize.reading import Epochs, Measured, Result

LEGEND_LINE = 0.22  # inches
WIDTH, DPI = 5.8, 150  # inches; text of 11 points stays readable where a phone shows the picture at half size
MARKERS = "osD^vPX*"
DASHES = ("-", "--", "-.", ":")
SCORES = {"rank1": "rank-1", "mAP": "mAP", "mINP": "mINP"}


@dataclass(frozen=True)
class Theme:
    """Colours of a picture. `lines`: Okabe and Ito's set for colour-blind readers, lighter where the page is dark."""

    paper: str
    ink: str
    grid: str
    lines: tuple[str, ...]


LIGHT = Theme(
    "#ffffff", "#1c1e22", "#dfe2e6", ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#5b5b5b")
)
DARK = Theme(
    "#1b1e23", "#e4e6ea", "#3a3f47", ("#56b4e9", "#f08030", "#2fc79a", "#e39bc4", "#e6c229", "#8fd0f5", "#b5b5b5")
)


def loss_curves(epochs: Epochs, theme: Theme = LIGHT) -> bytes:
    """Mean of each term over each epoch, and below it the learning rate.

    The loss axis is logarithmic where all values are above 0 and the largest is over 30 times the smallest.
    """
    with _figure(theme, height=4.7, panels=(3.2, 1.0)) as (figure, (losses, rate)):
        for number, (name, values) in enumerate(epochs.terms.items()):
            total = name == "loss"
            look = {"color": theme.ink, "linewidth": 2.4} if total else _look(theme, number)
            losses.plot(epochs.epoch, values, label="weighted sum" if total else name, **look, **_dots(epochs.epoch))
        values = [value for series in epochs.terms.values() for value in series if math.isfinite(value)]
        wide = bool(values) and min(values) > 0 and max(values) > 30 * min(values)
        if wide:
            losses.set_yscale("log")
            _plain_ticks(losses)
        elif values and min(values) >= 0:
            losses.set_ylim(bottom=0)
        losses.set_ylabel("mean loss of an epoch" + (" (log scale)" if wide else ""))
        losses.set_title("Loss terms before weighting, and their weighted sum", loc="left")
        _legend(figure, losses)
        rate.plot(epochs.epoch, epochs.lr, color=theme.ink, drawstyle="steps-mid", linewidth=1.8, **_dots(epochs.epoch))
        rate.set_ylim(bottom=0)
        rate.set_ylabel("learning rate")
        rate.set_xlabel("epoch")
        figure.align_ylabels()
        _whole_numbers(rate)
        return _png(figure, theme)


def cmc_curves(results: Sequence[Result], theme: Theme = LIGHT) -> bytes:
    """Rank on x, share of queries on y: the mean curve of each protocol.

    Bars at the printed ranks are one sample standard deviation over the trials to each side. A ring at rank 1 is
    chance, where the evaluation worked it out; a whole curve of chance cannot be made from the saved results.
    """
    with _figure(theme, height=4.0) as (figure, (axes,)):
        for number, result in enumerate(results):
            look, ranks = _look(theme, number), range(1, len(result.cmc) + 1)
            axes.plot(ranks, [100 * value for value in result.cmc], label=_named(result, results), **look)
            printed = [rank for rank in ranks if f"rank{rank}" in result.mean]
            spread = [result.spread.get(f"rank{rank}") for rank in printed]
            axes.errorbar(
                printed,
                [100 * result.mean[f"rank{rank}"] for rank in printed],
                yerr=None if None in spread else [100 * float(value or 0) for value in spread],
                fmt=MARKERS[number % len(MARKERS)],
                color=look["color"],
                markersize=6,
                capsize=4,
                elinewidth=1.6,
            )
            if result.chance is not None:
                axes.plot(
                    1,
                    100 * result.chance,
                    "o",
                    markersize=9,
                    markerfacecolor="none",
                    markeredgecolor=look["color"],
                    markeredgewidth=1.6,
                    linestyle="none",
                    label=f"{series_name(result, results)}: chance {100 * result.chance:.1f} %",
                )
        axes.set_ylim(0, 102)
        axes.set_xlabel("rank k")
        axes.set_ylabel("queries answered within rank k (%)")
        axes.set_title(_shared_title("CMC", results), loc="left")
        longest = max((len(result.cmc) for result in results), default=1)
        axes.set_xticks(sorted({1, *range(5, longest + 1, max(5, longest // 100 * 25))}))
        _legend(figure, axes)
        return _png(figure, theme)


def evaluation_curves(evaluations: Sequence[Measured], results: Sequence[Result], theme: Theme = LIGHT) -> bytes:
    """Scores on the test set of the epochs that were evaluated: a colour for each protocol, dashes for each score."""
    protocols = list(dict.fromkeys(item.protocol for item in evaluations))
    with _figure(theme, height=3.8) as (figure, (axes,)):
        for number, protocol in enumerate(protocols):
            own = [item for item in evaluations if item.protocol == protocol]
            for style, (score, label) in enumerate(SCORES.items()):
                points = [(item.epoch, 100 * item.values[score]) for item in own if score in item.values]
                if points:
                    look = {**_look(theme, number), "linestyle": DASHES[style]}
                    marker = {"marker": MARKERS[number % len(MARKERS)], "markersize": 5}
                    axes.plot(*zip(*points), label=f"{protocol}: {label}", **look, **marker)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("epoch")
        axes.set_ylabel("score on the test set (%)")
        axes.set_title(_shared_title("While training", results), loc="left")
        _whole_numbers(axes)
        _legend(figure, axes, columns=len(SCORES))
        return _png(figure, theme)


def series_name(result: Result, among: Sequence[Result]) -> str:
    """What tells this result from the others: its mode, or its name where the modes do not differ.

    >>> results = [Result("a", {"mode": "all"}, {}, {}, ()), Result("b", {"mode": "indoor"}, {}, {}, ())]
    >>> series_name(results[0], results), series_name(results[0], results[:1])
    ('all', 'all')
    """
    modes = [other.conditions.get("mode") for other in among]
    return str(result.conditions["mode"]) if None not in modes and len(set(modes)) == len(modes) else result.name


def _named(result: Result, among: Sequence[Result]) -> str:
    name = series_name(result, among)
    return f"{name}: rank-1 {100 * result.mean['rank1']:.1f} %" if "rank1" in result.mean else name


def _shared_title(what: str, results: Sequence[Result]) -> str:
    """The conditions that all results share, in two lines at most."""
    shared = {
        key: value
        for key, value in (results[0].conditions if results else {}).items()
        if all(result.conditions.get(key) == value for result in results)
    }
    first = ", ".join(str(shared[key]) for key in ("protocol", "direction") if key in shared)
    words: Mapping[str, Callable[[Any], str]] = {
        "mode": lambda value: f"mode {value}",
        "shots": lambda value: "single-shot" if value == 1 else f"{value}-shot",
        "trials": lambda value: "1 trial" if value == 1 else f"{value} trials",
        "re_ranking": lambda value: "no re-ranking" if value == "none" else f"re-ranking {value}",
    }
    second = ", ".join(say(shared[key]) for key, say in words.items() if key in shared)
    return "\n".join(line for line in (f"{what}: {first}" if first else what, second) if line)


# -- how a picture looks --------------------------------------------------------------------------------------------


@contextmanager
def _figure(theme: Theme, *, height: float, panels: Sequence[float] = (1.0,)):
    """A figure without a window and its panels from top to bottom; settings are put back afterwards."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    settings: Any = {
        "font.size": 11,
        "axes.titlesize": 11.5,
        "axes.titlepad": 9,
        "axes.edgecolor": theme.grid,
        "axes.facecolor": theme.paper,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "text.color": theme.ink,
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
        "lines.linewidth": 2.0,
        "text.usetex": False,
        "text.parse_math": False,  # a name is text, whatever is in it
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor=theme.paper)
        figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=list(panels))[:, 0]
        yield figure, axes


def _look(theme: Theme, number: int) -> dict[str, Any]:
    """A colour and a line style of its own for each of 28 lines."""
    count = len(theme.lines)
    return {"color": theme.lines[number % count], "linestyle": DASHES[number // count % len(DASHES)]}


def _dots(points: Sequence[int]) -> dict[str, Any]:
    return {"marker": "o", "markersize": 4} if len(points) <= 30 else {}


def _legend(figure: Any, axes: Any, *, columns: int = 4) -> None:
    """Below the panels, so that it never covers a line; read from left to right."""
    handles, labels = axes.get_legend_handles_labels()
    fitting = 70 // (max(map(len, labels), default=0) + 7)  # letters on a line, those of a handle included
    columns = max(1, min(columns, fitting, len(labels)))
    rows = math.ceil(len(labels) / columns)  # the figure fills columns first
    order = [row * columns + column for column in range(columns) for row in range(rows)]
    order = [place for place in order if place < len(labels)]
    figure.set_figheight(figure.get_figheight() + LEGEND_LINE * rows)
    figure.legend(
        [handles[place] for place in order],
        [labels[place] for place in order],
        loc="outside lower center",
        ncols=columns,
        fontsize=10,
        frameon=False,
        handlelength=2.4,
        columnspacing=1.4,
    )


def _whole_numbers(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _plain_ticks(axes: Any) -> None:
    """0.01, 0.1, 1, 10 instead of powers."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _png(figure: Any, theme: Theme) -> bytes:
    """The same figure gives the same bytes: no date, no version."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=theme.paper, metadata={"Software": None})
    return buffer.getvalue()
