"""Select rows of a table by modality, identity and camera."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from vireid.core.errors import ArgumentError, DataError, UserError, nearest
from vireid.core.labels import with_names
from vireid.core.types import EmbeddingTable, Modality, Trial
from vireid.evaluation.junk import Junk

MOST = 20  # cameras of one modality that an error message lists
Direction = Literal["infrared_to_visible", "visible_to_infrared"]
DIRECTIONS: dict[str, tuple[Modality, Modality]] = {  # of the queries, of the gallery
    "infrared_to_visible": (Modality.INFRARED, Modality.VISIBLE),
    "visible_to_infrared": (Modality.VISIBLE, Modality.INFRARED),
}


def sides_of(direction: str) -> tuple[Modality, Modality]:
    """Return the modalities of queries and gallery.

    Raises:
        UserError: For an unknown direction, with the nearest and all known names.
    """
    if direction not in DIRECTIONS:
        suggestion = nearest(str(direction), DIRECTIONS)
        raise ArgumentError("direction", f"must be one of {tuple(DIRECTIONS)}, got {direction!r}{suggestion}")
    return DIRECTIONS[direction]


def words(direction: str) -> str:
    """Format a direction for a table.

    >>> words("infrared_to_visible")
    'infrared to visible'
    """
    return direction.replace("_", " ")


def check_counts(**counts: int) -> None:
    """Raise UserError unless all counts are at least 1."""
    if min(counts.values()) < 1:
        values = " and ".join(map(str, counts.values()))
        raise UserError(f"{' and '.join(counts)} must be at least 1, got {values}")


def rows_of(
    table: EmbeddingTable,
    *,
    protocol: str,
    role: str,
    modality: Modality | None = None,
    cameras: Sequence[int] = (),
) -> np.ndarray:
    """Return the rows (N,) of a modality (None: both) and of some cameras (empty: all), in the order of the table.

    Raises:
        DataError: If there is no such row, with the `protocol` and the `role` of the images.
    """
    chosen = np.ones(len(table), bool)
    if modality is not None:
        chosen &= table.modality == modality
    if cameras:
        chosen &= np.isin(table.cameras, cameras)
    if chosen.any():
        return np.flatnonzero(chosen)
    conditions = [modality.name.lower()] if modality is not None else []
    conditions += [f"of the cameras {with_names(cameras, table.camera_names)}"] if cameras else []
    raise DataError(
        f"{protocol} found no {role} images: none of the {len(table)} test images is {' and '.join(conditions)}"
        f"{cameras_present(table)}"
    )


def cameras_present(table: EmbeddingTable) -> str:
    """Format the cameras of the test images by modality, in parentheses, to append to an error message."""
    present = {m: sorted(set(table.cameras[table.modality == m].tolist())) for m in Modality}
    words = [f"{m.name.lower()} {with_names(c[:MOST], table.camera_names)}" for m, c in present.items() if c]
    more = ", ..." if any(len(cameras) > MOST for cameras in present.values()) else ""
    return f" (cameras of the test images: {'; '.join(words)}{more})" if words else ""


def folders_of(table: EmbeddingTable, rows: np.ndarray) -> list[np.ndarray]:
    """Group rows by (identity, camera), identities ascending and cameras within; the order in a group is kept."""
    rows = rows[np.lexsort((table.cameras[rows], table.labels[rows]))]
    borders = np.flatnonzero(np.diff(table.labels[rows]) | np.diff(table.cameras[rows])) + 1
    return np.split(rows, borders)


def junk_of(rule: Junk | None, table: EmbeddingTable) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Convert a rule about identities and cameras to `Trial.junk`, which takes rows. None ignores nothing."""

    def junk(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        if rule is None:
            return np.zeros((len(query), len(gallery)), bool)
        return rule(table.labels[query], table.cameras[query], table.labels[gallery], table.cameras[gallery])

    return junk


def gallery_of_trials(trials: Iterable[Trial]) -> np.ndarray:
    """Return the rows (G,) that are in the gallery of any trial, ascending."""
    return np.unique(np.concatenate([trial.gallery for trial in trials]))
