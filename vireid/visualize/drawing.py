"""How every plot looks: colours, panels, legends, and the file it becomes."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

Form = Literal["png", "pdf"]
LEGEND_LINE = 0.22  # inches
WIDTH, DPI = 5.8, 150  # inches; text of 11 points stays readable where a phone shows the picture at half size
MARKERS = "osD^vPX*"
DASHES = ("-", "--", "-.", ":")


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


@contextmanager
def figure_of(theme: Theme, *, height: float, panels: Sequence[float] = (1.0,)) -> Iterator[tuple[Any, Any]]:
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


def look(theme: Theme, number: int) -> dict[str, Any]:
    """A colour and a line style of its own for each of 28 lines."""
    count = len(theme.lines)
    return {"color": theme.lines[number % count], "linestyle": DASHES[number // count % len(DASHES)]}


def dots(points: Sequence[int]) -> dict[str, Any]:
    """A dot at each point, where there are few."""
    return {"marker": "o", "markersize": 4} if len(points) <= 30 else {}


def legend(figure: Any, axes: Any, *, columns: int = 4) -> None:
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


def whole_numbers(axes: Any) -> None:
    """Ticks of the x axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def plain_ticks(axes: Any) -> None:
    """0.01, 0.1, 1, 10 instead of powers."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def save(figure: Any, theme: Theme, form: Form = "png") -> bytes:
    """The bytes of a file; the same figure gives the same: no date, no version."""
    buffer = io.BytesIO()
    metadata = {"Software": None} if form == "png" else {"CreationDate": None, "Creator": None, "Producer": None}
    figure.savefig(buffer, format=form, facecolor=theme.paper, metadata=metadata)
    return buffer.getvalue()
