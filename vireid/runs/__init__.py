"""The run folder: the only code that reads and writes its files."""

from vireid.runs.folder import RunFolder
from vireid.runs.metrics import Metrics
from vireid.runs.reading import Run, read_run

__all__ = [
    "Metrics",
    "Run",
    "RunFolder",
    "read_run",
]
