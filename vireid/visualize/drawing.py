"""Common style of all plots: colors, panels, legends, output files."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

Form = Literal["png", "pdf"]
LEGEND_LINE = 0.22  # inches
WIDTH, DPI = 5.8, 150  # inches; text of 11 points is readable at half size, as on a phone
MARKERS = "osD^vPX*"
DASHES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Theme:
    """Colors of a plot. `lines`: the color-blind safe palette of Okabe and Ito, lighter for dark pages."""

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


@contextmanager
def figure_of(theme: Theme, *, height: float, panels: Sequence[float] = (1.0,)) -> Iterator[tuple[Any, Any]]:
    """Create a figure without a window and its panels from top to bottom; restore the matplotlib settings on exit."""
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
        "text.parse_math": False,  # names may contain $
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor=theme.paper)
        figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=list(panels))[:, 0]
        yield figure, axes


def look(theme: Theme, number: int) -> dict[str, Any]:
    """Return a unique color and line style for each of 28 lines."""
    count = len(theme.lines)
    return {"color": theme.lines[number % count], "linestyle": DASHES[number // count % len(DASHES)]}


def dots(points: Sequence[int]) -> dict[str, Any]:
    """Return a marker style for at most 30 points; no markers for more."""
    return {"marker": "o", "markersize": 4} if len(points) <= 30 else {}


def legend(figure: Any, axes: Any, *, columns: int = 4) -> None:
    """Draw the legend below the panels, with the entries from left to right."""
    handles, labels = axes.get_legend_handles_labels()
    fitting = 70 // (max(map(len, labels), default=0) + 7)  # entries on a line of about 70 characters, 7 for the handle
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


def whole_numbers(axes: Any) -> None:
    """Place the ticks of the x axis at integers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def plain_ticks(axes: Any) -> None:
    """Label the y axis with decimal numbers (0.01, 0.1, 1, 10) instead of powers."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def save(figure: Any, theme: Theme, form: Form = "png") -> bytes:
    """Return the bytes of a file, without date and version: the same figure gives the same bytes."""
    buffer = io.BytesIO()
    metadata = {"Software": None} if form == "png" else {"CreationDate": None, "Creator": None, "Producer": None}
    figure.savefig(buffer, format=form, facecolor=theme.paper, metadata=metadata)
    return buffer.getvalue()
