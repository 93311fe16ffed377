"""Identity and camera cells of a CSV file as numbers: whole numbers as they are, names in natural order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vireid.core.errors import nearest
from vireid.core.labels import (
    MISSING,
    natural_key,
    normalized_name,
    number_fault,
    shortened,
    spelling_key,
    whole_number,
)
from vireid.data.datasets.listing import MOST, Faults


@dataclass(frozen=True)
class Labels:
    """The number of each cell that can be used, and the names of the numbers where the cells are names."""

    numbers: Mapping[str, int] = field(default_factory=dict)  # cell -> number
    names: Mapping[int, str] = field(default_factory=dict)  # number -> name; empty where the cells are numbers


def missing_fault(role: str, cell: str) -> str | None:
    """Describe a cell that holds no label: empty, or a word that programs write for a missing value."""
    if not cell:
        return f"the {role} is empty"
    return f"the {role} is {cell!r}, which stands for a missing value" if cell in MISSING else None


def number_labels(role: str, cells: Sequence[tuple[str, str]], first: int, faults: Faults) -> Labels:
    """Number the cells of a column.

    Whole numbers stay as they are: 3, 3.0, 3.00 and 003 are the same label. Names are numbered from `first` on in
    natural order (c1, c2, c10). A mixture of both, negative numbers, fractions, numbers beyond 64 bits and names that
    differ only in case, blanks or leading zeros are faults; such cells have no number.

    Args:
        role: "identity" or "camera", for error messages.
        cells: (place, cell) of each line; cells are neither empty nor `MISSING`.
        first: The number of the first name.
        faults: Where faults are added, with the place of the line.
    """
    spellings = dict.fromkeys(cell for _, cell in cells)
    numbers = {cell: number for cell in spellings if (number := whole_number(cell)) is not None}
    wrong = {cell: fault for cell in spellings if (fault := number_fault(cell)) is not None}
    names = {cell: normalized_name(cell) for cell in spellings if cell not in numbers and cell not in wrong}
    for place, cell in cells:
        if cell in wrong:
            faults.add(f"{place}: {role} {shortened(cell)!r} {wrong[cell]}", f"such {role} cells")
    if numbers and names:
        numbers, names = _without_the_rare(role, cells, numbers, names, faults)
    _add_colliding(role, cells, names, faults)
    order = {name: number for number, name in enumerate(sorted(set(names.values()), key=natural_key), start=first)}
    by_name = {cell: order[name] for cell, name in names.items()}
    return Labels({**numbers, **by_name}, {number: name for name, number in order.items()})


def _without_the_rare(
    role: str,
    cells: Sequence[tuple[str, str]],
    numbers: dict[str, int],
    names: dict[str, str],
    faults: Faults,
) -> tuple[dict[str, int], dict[str, str]]:
    """Report the rarer kind of a mixture of numbers and names, and leave it out."""
    count = sum(cell in numbers for _, cell in cells)
    rare, usual, others = (names, numbers, "whole numbers") if 2 * count >= len(cells) else (numbers, names, "names")
    first = list(dict.fromkeys(cell for _, cell in cells if cell in rare))[:MOST]
    hints = {cell: nearest(cell, usual) for cell in first}  # each takes a while among many
    for place, cell in cells:
        if cell in rare:
            faults.add(f"{place}: {role} {shortened(cell)!r} among {others}{hints.get(cell, '')}", f"such {role} cells")
    return ({}, names) if rare is numbers else (numbers, {})


def _add_colliding(role: str, cells: Sequence[tuple[str, str]], names: Mapping[str, str], faults: Faults) -> None:
    """A fault for each name that equals an earlier one but for case, blanks or leading zeros."""
    first_place: dict[str, str] = {}
    for place, cell in cells:
        if cell in names:
            first_place.setdefault(names[cell], place)
    of_key: dict[str, str] = {}
    for name, place in first_place.items():
        other = of_key.setdefault(spelling_key(name), name)
        if other != name:
            faults.add(
                f"{place}: {role} {shortened(name)!r} and {shortened(other)!r} ({first_place[other]}) differ only in"
                " case, blanks or leading zeros; write one of them everywhere",
                f"such {role} cells",
            )
