"""Pictures and one static page from the saved results of a run; nothing here trains, loads a model or evaluates."""

from vireid.visualize import curves, markup, page, ranked, reading, sections, sheet, tiles
from vireid.visualize.page import write_report
from vireid.visualize.reading import Run, read_run

__all__ = [
    "Run",
    "curves",
    "markup",
    "page",
    "ranked",
    "read_run",
    "reading",
    "sections",
    "sheet",
    "tiles",
    "write_report",
]
