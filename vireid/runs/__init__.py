"""The run folder: the only code that reads and writes its files."""

from vireid.runs.folder import RunFolder
from vireid.runs.reading import Run, read_run

__all__ = [
    "Run",
    "RunFolder",
    "read_run",
]
