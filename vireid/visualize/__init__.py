"""Pictures and one static page from the saved results of a run; nothing here trains, loads a model or evaluates."""

from vireid.visualize import attention, curves, drawing, markup, page, ranked, reading, scatter, sections, sheet, tiles
from vireid.visualize.page import write_report
from vireid.visualize.reading import Run, read_run

__all__ = [
    "Run",
    "attention",
    "curves",
    "drawing",
    "markup",
    "page",
    "ranked",
    "read_run",
    "reading",
    "scatter",
    "sections",
    "sheet",
    "tiles",
    "write_report",
]
