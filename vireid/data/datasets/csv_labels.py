"""Convert identity and camera cells of a CSV file to numbers: integers as they are, names in natural order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vireid.core.errors import MOST_OF_A_KIND, closest
from vireid.core.labels import (
    MISSING,
    natural_key,
    normalized_name,
    number_fault,
    shortened,
    spelling_key,
    whole_number,
)
from vireid.data.findings import Findings


@dataclass(frozen=True)
class Labels:
    """Labels of a column.

    Args:
        numbers: Cell -> number, for each cell that is a label.
        names: Number -> name; empty if the cells are numbers.
    """

    numbers: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)


def missing_fault(role: str, cell: str) -> str | None:
    """Describe a cell that holds no label: empty, or a word that programs write for a missing value."""
    if not cell:
        return f"the {role} is empty"
    return f"the {role} is {cell!r}, which stands for a missing value" if cell in MISSING else None


def number_labels(role: str, cells: Sequence[tuple[str, str]], first: int, findings: Findings) -> Labels:
    """Number the cells of a column.

    Integers stay as they are: 3, 3.0, 3.00 and 003 are the same label. Names are numbered from `first` on in
    natural order (c1, c2, c10). A mixture of both, negative numbers, fractions, numbers beyond 64 bits and names that
    differ only in case, blanks or leading zeros are faults; such cells have no number.

    Args:
        role: "identity" or "camera", for error messages.
        cells: (place, cell) of each line; cells are neither empty nor `MISSING`.
        first: The number of the first name.
        findings: Where faults are added, with the place of the line.
    """
    spellings = dict.fromkeys(cell for _, cell in cells)
    numbers = {cell: number for cell in spellings if (number := whole_number(cell)) is not None}
    wrong = {cell: fault for cell in spellings if (fault := number_fault(cell)) is not None}
    names = {cell: normalized_name(cell) for cell in spellings if cell not in numbers and cell not in wrong}
    for place, cell in cells:
        if cell in wrong:
            findings.add(f"{role} {shortened(cell)!r} {wrong[cell]}", place=place, kind=f"such {role} cells")
    if numbers and names:
        numbers, names = _without_rarer_kind(role, cells, numbers, names, findings)
    _add_colliding(role, cells, names, findings)
    order = {name: number for number, name in enumerate(sorted(set(names.values()), key=natural_key), start=first)}
    by_name = {cell: order[name] for cell, name in names.items()}
    return Labels({**numbers, **by_name}, {number: name for name, number in order.items()})


def _without_rarer_kind(
    role: str,
    cells: Sequence[tuple[str, str]],
    numbers: dict[str, int],
    names: dict[str, str],
    findings: Findings,
) -> tuple[dict[str, int], dict[str, str]]:
    """Report the rarer kind of a mixture of numbers and names, and omit it."""
    count = sum(cell in numbers for _, cell in cells)
    rare, usual, others = (names, numbers, "integers") if 2 * count >= len(cells) else (numbers, names, "names")
    first = list(dict.fromkeys(cell for _, cell in cells if cell in rare))[:MOST_OF_A_KIND]
    suggestions = {cell: closest(cell, usual) for cell in first}  # for those that are printed: it is slow among many
    for place, cell in cells:
        if cell in rare:
            findings.add(
                f"{role} {shortened(cell)!r} among {others}",
                place=place,
                kind=f"such {role} cells",
                suggestion=suggestions.get(cell),
            )
    return ({}, names) if rare is numbers else (numbers, {})


def _add_colliding(role: str, cells: Sequence[tuple[str, str]], names: Mapping[str, str], findings: Findings) -> None:
    """Add a fault for each name that differs from an earlier one only in case, blanks or leading zeros."""
    first_place: dict[str, str] = {}
    for place, cell in cells:
        if cell in names:
            first_place.setdefault(names[cell], place)
    of_key: dict[str, str] = {}
    for name, place in first_place.items():
        other = of_key.setdefault(spelling_key(name), name)
        if other != name:
            findings.add(
                f"{role} {shortened(name)!r} and {shortened(other)!r} ({first_place[other]}) differ only in"
                " case, blanks or leading zeros; write one of them everywhere",
                place=place,
                kind=f"such {role} cells",
            )
