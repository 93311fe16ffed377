"""Read the text of CSV files: lines, words for the modality, times."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from math import isfinite
from pathlib import Path

from vireid.core.errors import DataError, UserError

MODALITIES: Mapping[str, str] = {
    **dict.fromkeys(("visible", "vis", "rgb", "color", "colour"), "visible"),
    **dict.fromkeys(("infrared", "ir", "nir", "thermal"), "infrared"),
}
SEPARATORS = (",", ";", "\t")


def csv_lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Read line numbers and cells; DataError for a file that is not CSV text."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text ({error}); save it as UTF-8") from error
    head = text.splitlines()[0] if text.strip() else ""
    reader = csv.reader(text.splitlines(keepends=True), delimiter=max(SEPARATORS, key=head.count), strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: not CSV ({error})") from error


def seconds_of(cell: str) -> float | None:
    """Parse a time to seconds, None if empty; a date and time without a zone is UTC. UserError for other words."""
    if not cell:
        return None
    with suppress(ValueError):
        if isfinite(float(cell)):
            return float(cell)
    try:
        moment = datetime.fromisoformat(cell.removesuffix("Z"))
    except ValueError as error:
        raise UserError(f"time {cell!r} is neither seconds nor a date and time as in 2024-05-31T10:20:30") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
