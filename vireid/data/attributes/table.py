"""One table of attributes whatever file it came from, and how samples get their row of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vireid.core.types import Sample
from vireid.data.faults import listed, raise_faults

UNKNOWN = -1  # in place of a zero or a one: nobody annotated this

Key = tuple[int | None, int]  # camera (None: all cameras) and identity as the data set numbers it


@dataclass(frozen=True)
class AttributeTable:
    """Attributes by (camera, identity), or by identity where the file knows no cameras.

    `rows` holds A values of 0, 1 or UNKNOWN for each key; `places` says where in the file each row stands. `gaps`: an
    identity without a row simply has no annotation (the released matrices, which have a column for every number);
    otherwise a missing row is taken for a slip of the pen and refused by `attach`. `unread`: parts of the file that
    were not read, in words.
    """

    source: Path
    names: tuple[str, ...]
    rows: Mapping[Key, tuple[int, ...]]
    places: Mapping[Key, str]
    gaps: bool = False
    unread: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Number of attributes."""
        return len(self.names)

    @property
    def by_camera(self) -> bool:
        """Whether some row holds for one camera only."""
        return any(camera is not None for camera, _ in self.rows)

    def identities(self) -> set[int]:
        """Everybody who has a row."""
        return {identity for _, identity in self.rows}

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """(M, A) float32 values, 0 where unknown, and (M, A) bool "somebody annotated this", in the order of `rows`."""
        values = np.array(list(self.rows.values()), np.int64).reshape(-1, self.width)
        known = values != UNKNOWN
        return np.where(known, values, 0).astype(np.float32), known

    def lookup(self, camera: int | None, identity: int) -> tuple[int, ...] | None:
        """The row of a person in a camera, else of the person in all cameras; None where nothing is annotated."""
        row = self.rows.get((camera, identity), self.rows.get((None, identity)))
        return None if row is None or all(value == UNKNOWN for value in row) else row


def numbered(sample: Sample) -> int:
    """The identity that the sample itself carries (right for test samples; training ones are relabelled)."""
    return sample.identity


def attach(
    samples: Iterable[Sample],
    table: AttributeTable,
    *,
    person: Callable[[Sample], int] = numbered,
    everyone: Collection[int] = (),
) -> list[Sample]:
    """The samples with their attributes.

    `person` gives the identity as the table numbers it: training samples carry labels from 0, so a data set says here
    how it finds the number again (from the path, from its own list). `everyone` is all identities of the data set,
    training and test; where it is given, rows of people who are not in it are refused.
    Errors: DataError with everything of `table_faults`.
    """
    samples = list(samples)
    people = [person(sample) for sample in samples]
    faults = table_faults(table, people, everyone=everyone)
    if faults:
        raise_faults(f"{table.source} does not fit the data set (DATA.ATTRIBUTES)", faults)
    return [
        replace(sample, attributes=table.lookup(sample.camera, identity)) for sample, identity in zip(samples, people)
    ]


def table_faults(table: AttributeTable, people: Iterable[int], *, everyone: Collection[int] = ()) -> list[str]:
    """What is wrong between a table and the identities of some images; each fault one text.

    `everyone`: all identities of the data set; without it no row is called a stranger's.
    """
    people, known, everybody = set(people), table.identities(), set(everyone)
    annotated = known & (everybody or people)
    if table.gaps:
        if everybody and not annotated:
            return [_nobody(table, everybody)]
        return []
    if people and not annotated:
        return [_nobody(table, everybody or people)]
    faults = []
    lost = sorted(people - known)
    if lost:
        faults.append(
            f"no row for {_identities(lost)}, of whom there are images; add the rows,"
            " with empty cells where nobody annotated"
        )
    strangers = [key for key in table.rows if everybody and key[1] not in everybody]
    if strangers:
        shown = listed(f"{table.places[key]} (identity {key[1]})" for key in strangers)
        faults.append(f"rows of identities that the data set does not have: {shown}; correct or remove them")
    return faults


def _nobody(table: AttributeTable, people: Collection[int]) -> str:
    return (
        f"it annotates none of the identities of the data set: rows are for {listed(sorted(table.identities()), 5)},"
        f" images are of {listed(sorted(people), 5)}; is it the table of another data set?"
    )


def _identities(numbers: Sequence[int]) -> str:
    return ("identity " if len(numbers) == 1 else "identities ") + listed(numbers)
