"""Attributes that people wrote down themselves: CSV and .xlsx, one row for a person or for a person in a camera."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vireid.core.errors import DataError, closest
from vireid.core.labels import number_fault, shortened, whole_number
from vireid.core.text import listed
from vireid.data.attributes.table import UNKNOWN, AttributeTable, Key
from vireid.data.findings import Findings

NO_REGDB_LABELS = (
    "the PAENet release holds no attributes of RegDB. Its label_finished.xlsx has 96 identities (6 .. 333), which are"
    " the test identities of SYSU-MM01 and not the 412 persons of RegDB, and its 26 columns are not the eight"
    " attributes of the paper; cam1_att.mat .. cam6_att.mat are of SYSU-MM01, too."
)
_FORM = "the first line names the columns: identity, camera (may be left out), then one column for each attribute"
_SEPARATORS = (",", ";", "\t")


def read_attributes(place: Path) -> AttributeTable:
    """Read a .csv or .xlsx table: columns identity[, camera], then one column for each attribute, named in line 1.

    A cell is 0, 1 or empty (unknown). A row without a camera is for all cameras for which the identity has no other
    row. CSV is UTF-8 with comma, semicolon or tab, whichever the first line uses; of an .xlsx file the first sheet is
    read and formulas are refused.

    Raises:
        DataError: With every fault, by line and column. The released PAENet files are refused with the reason.
    """
    if not place.exists():
        raise DataError(f"the attributes {place} do not exist; DATA.ATTRIBUTES is a .csv or .xlsx file; {_FORM}")
    if place.is_dir() or place.suffix.lower() in {".zip", ".mat"}:
        raise DataError(
            f"{place} cannot be used as attributes (DATA.ATTRIBUTES): expected a .csv or .xlsx file; {_FORM}."
            f"\n  Is this the PAENet release? For datasets other than SYSU-MM01 it cannot be used: {NO_REGDB_LABELS}"
        )
    lines, unread = _xlsx_lines(place) if place.suffix.lower() == ".xlsx" else (_csv_lines(place), ())
    while lines and not any(lines[-1]):  # spreadsheets end in empty lines
        lines.pop()
    _refuse_released_sheet(place, lines)
    sheet = _Sheet(place)
    sheet.read(lines)
    sheet.findings.raise_if_any(f"{place} cannot be used as attributes (DATA.ATTRIBUTES)")
    return AttributeTable(place, tuple(sheet.names), sheet.rows, sheet.places, unread=unread)


def attribute_value(cell: str) -> int:
    """Parse a cell to 0, 1 or UNKNOWN (an empty cell); ValueError for anything else. 1.0 is accepted for 1.

    >>> attribute_value(" 1"), attribute_value("0.0"), attribute_value("")
    (1, 0, -1)
    """
    word = cell.strip()
    if not word:
        return UNKNOWN
    value = whole_number(word)
    if value not in (0, 1):
        raise ValueError(f"{word!r} is not 0, 1 or empty")
    return value


@dataclass
class _Sheet:
    """Rows that were read, and the faults of the others."""

    source: Path
    names: list[str] = field(default_factory=list)
    rows: dict[Key, tuple[int, ...]] = field(default_factory=dict)
    places: dict[Key, str] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)

    def read(self, lines: Sequence[Sequence[str]]) -> None:
        header = [name.strip() for name in lines[0]] if lines else []
        lower = [name.lower() for name in header]
        special = {word: lower.index(word) for word in ("identity", "camera") if word in lower}
        attributes = [column for column in range(len(header)) if column not in special.values()]
        self.names = [header[column] for column in attributes]
        self._check_header(header, special)
        if self.findings:
            return
        for number, line in enumerate(lines[1:], start=2):
            if any(cell.strip() for cell in line):
                self._row(f"line {number}", line, header, special, attributes)
        if not self.rows and not self.findings:
            self.findings.add("there is no line below the names of the columns")

    def _check_header(self, header: list[str], special: dict[str, int]) -> None:
        if "identity" not in special:
            self.findings.add(
                "no column is named identity",
                place="line 1",
                suggestion=closest("identity", header),
                note=f"(columns: {listed(header) or 'none'})",
            )
        nameless = [str(column) for column, name in enumerate(header, start=1) if not name]
        if nameless:
            self.findings.add(f"columns without a name: {listed(nameless)}", place="line 1")
        lower = [name.lower() for name in header]
        repeated = sorted({name for name in header if name and lower.count(name.lower()) > 1})
        if repeated:
            self.findings.add(f"names of more than one column: {listed(repeated)}", place="line 1")
        if "identity" in special and not self.names:
            self.findings.add("no column of an attribute besides identity and camera", place="line 1")

    def _row(
        self,
        place: str,
        line: Sequence[str],
        header: list[str],
        special: dict[str, int],
        attributes: list[int],
    ) -> None:
        if len(line) != len(header):
            self._refuse(place, f"{len(line)} cells, but line 1 names {len(header)} columns")
            return
        before = len(self.findings)
        identity = self._label(line[special["identity"]], f"{place}, column identity")
        camera = None
        if "camera" in special and line[special["camera"]].strip():
            camera = self._label(line[special["camera"]], f"{place}, column camera")
        values = []
        for column in attributes:
            try:
                values.append(attribute_value(line[column]))
            except ValueError as error:
                self._refuse(f"{place}, column {header[column]}", str(error))
        if len(self.findings) > before:
            return
        assert identity is not None
        key = camera, identity
        if key in self.rows:
            in_camera = "" if camera is None else f" in camera {camera}"
            self._refuse(place, f"identity {identity}{in_camera} is already in {self.places[key]}")
            return
        self.rows[key], self.places[key] = tuple(values), place

    def _label(self, cell: str, place: str) -> int | None:
        word = cell.strip()
        number = whole_number(word)
        if number is None:
            self._refuse(place, f"{shortened(word)!r} {number_fault(word) or 'is not an integer'}")
        return number

    def _refuse(self, place: str, text: str) -> None:
        self.findings.add(text, place=place, kind="such cells", path=self.source)


def _csv_lines(place: Path) -> list[list[str]]:
    try:
        text = place.read_text(encoding="utf-8-sig")
        head = text.splitlines()[0] if text.strip() else ""
        separator = max(_SEPARATORS, key=head.count)
        return list(csv.reader(text.splitlines(), delimiter=separator, strict=True))
    except OSError as error:
        raise _unreadable(place, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _unreadable(place, f"not UTF-8 text ({error})") from error
    except csv.Error as error:
        raise _unreadable(place, f"not a CSV file ({error})") from error


def _xlsx_lines(place: Path) -> tuple[list[list[str]], tuple[str, ...]]:
    """Cells of the first sheet as text, and the names of the other sheets that are not empty.

    Formulas are not evaluated, and are refused as values later.
    """
    import openpyxl

    try:
        book = openpyxl.load_workbook(place, read_only=True)
        lines = [[_text(cell) for cell in row] for row in book.worksheets[0].iter_rows(values_only=True)]
        unread = [
            sheet.title
            for sheet in book.worksheets[1:]
            if any(cell is not None for row in sheet.iter_rows(values_only=True) for cell in row)
        ]
        book.close()
    except Exception as error:  # openpyxl raises many kinds for a damaged file
        raise _unreadable(place, f"not an .xlsx file that can be read ({error or type(error).__name__})") from error
    width = max((column for line in lines[:1] for column, cell in enumerate(line, start=1) if cell), default=0)
    return [_trimmed(line, width) for line in lines], tuple(f"sheet {name!r} of the attributes" for name in unread)


def _trimmed(line: list[str], width: int) -> list[str]:
    """The line at the width of the header; cells to the right of the header stay, and are a fault later."""
    return line if any(line[width:]) else [*line[:width], *[""] * (width - len(line))]


def _text(cell: Any) -> str:
    """A cell as text in CSV: integers without a point, empty for an empty one."""
    if cell is None:
        return ""
    whole = isinstance(cell, float) and cell.is_integer()
    return str(int(cell)) if whole else str(cell).strip()


def _refuse_released_sheet(place: Path, lines: Sequence[Sequence[str]]) -> None:
    """Raise DataError for label_finished.xlsx of PAENet, recognized by its shape and its first and last identity."""
    if len(lines) != 97 or {len(line) for line in lines} != {27}:
        return
    if lines[1][0].zfill(4) == "0006" and lines[-1][0].zfill(4) == "0333":
        raise DataError(
            f"{place} cannot be used as attributes (DATA.ATTRIBUTES): {NO_REGDB_LABELS}"
            "\n  For SYSU-MM01 give the folder or zip with cam1_att.mat .. cam6_att.mat; for another dataset write a"
            f" .csv or .xlsx file: {_FORM}"
        )


def _unreadable(place: Path, why: str) -> DataError:
    return DataError(f"{place} cannot be read as attributes (DATA.ATTRIBUTES): {why}")
