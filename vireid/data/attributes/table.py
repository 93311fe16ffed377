"""Attribute table of any file format, and the assignment of its rows to samples."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vireid.core.errors import Finding
from vireid.core.text import listed
from vireid.core.types import Sample
from vireid.data.findings import Findings

UNKNOWN = -1  # in place of 0 or 1: not annotated

Key = tuple[int | None, int]  # camera (None: all cameras) and identity as the dataset numbers it


@dataclass(frozen=True)
class AttributeTable:
    """Attributes by (camera, identity), or by identity if the file has no cameras.

    Args:
        source: File or folder of the table.
        names: Names of the A attributes.
        rows: A values of 0, 1 or UNKNOWN for each key.
        places: Line or column of each row in the file.
        gaps: Whether an identity without a row is just not annotated (the released matrices, which have a column for
            every number). Otherwise `attach` refuses a missing row.
        unread: Parts of the file that were not read, in words.
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
        """Whether a row is for one camera only."""
        return any(camera is not None for camera, _ in self.rows)

    def identities(self) -> set[int]:
        """Return the identities that have a row."""
        return {identity for _, identity in self.rows}

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (M, A) float32 values, 0 if unknown, and (M, A) bool "annotated", in the order of `rows`."""
        values = np.array(list(self.rows.values()), np.int64).reshape(-1, self.width)
        known = values != UNKNOWN
        return np.where(known, values, 0).astype(np.float32), known

    def lookup(self, camera: int | None, identity: int) -> tuple[int, ...] | None:
        """Return the row of an identity in a camera, else in all cameras; None if nothing is annotated."""
        row = self.rows.get((camera, identity), self.rows.get((None, identity)))
        return None if row is None or all(value == UNKNOWN for value in row) else row


def sample_identity(sample: Sample) -> int:
    """Return the identity of the sample (correct for test samples; training samples are relabeled)."""
    return sample.identity


def attach(
    samples: Iterable[Sample],
    table: AttributeTable,
    *,
    identity_of: Callable[[Sample], int] = sample_identity,
    all_identities: Collection[int] = (),
) -> list[Sample]:
    """Attach the attributes of a table to samples.

    Args:
        samples: The samples.
        table: The table.
        identity_of: Maps a sample to the identity as the table numbers it. Training samples have labels from 0, so a
            dataset needs another way to the number (from the path, from a list).
        all_identities: Identities of training and test. If present, rows of other identities are refused.

    Raises:
        DataError: With the findings of `table_findings`.
    """
    samples = list(samples)
    identities = [identity_of(sample) for sample in samples]
    findings = Findings(table_findings(table, identities, all_identities=all_identities))
    findings.raise_if_any(f"{table.source} does not fit the dataset (DATA.ATTRIBUTES)")
    return [
        replace(sample, attributes=table.lookup(sample.camera, identity))
        for sample, identity in zip(samples, identities)
    ]


def table_findings(
    table: AttributeTable, identities: Iterable[int], *, all_identities: Collection[int] = ()
) -> list[Finding]:
    """Compare a table with the identities of images.

    Args:
        table: The table.
        identities: Identities of the images.
        all_identities: Identities of training and test; rows of other identities are faults. Empty: no row is one.
    """
    present, in_table, allowed = set(identities), table.identities(), set(all_identities)
    expected = allowed or present
    annotated = in_table & expected
    if table.gaps:
        return [_other_dataset(table, allowed)] if allowed and not annotated else []
    if present and not annotated:
        return [_other_dataset(table, expected)]
    findings = Findings()
    missing = sorted(present - in_table)
    if missing:
        findings.add(
            f"no row for {_identities(missing)}, of which there are images; add the rows,"
            " with empty cells for values that are not annotated"
        )
    unused = [key for key in table.rows if allowed and key[1] not in allowed]
    if unused:
        shown = listed(f"{table.places[key]} (identity {key[1]})" for key in unused)
        findings.add(f"rows of identities that the dataset does not have: {shown}; correct or remove them")
    return list(findings)


def _other_dataset(table: AttributeTable, identities: Collection[int]) -> Finding:
    return Finding(
        f"it annotates none of the identities of the dataset: rows are for {listed(sorted(table.identities()), 5)},"
        f" images are of {listed(sorted(identities), 5)}; is it the table of another dataset?"
    )


def _identities(numbers: Sequence[int]) -> str:
    return ("identity " if len(numbers) == 1 else "identities ") + listed(numbers)
