"""Rows of a table by modality, identity and camera."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from vireid.core.errors import DataError, UserError, nearest
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
    """Modalities of queries and gallery; UserError with the nearest and all known names otherwise."""
    if direction not in DIRECTIONS:
        suggestion = nearest(str(direction), DIRECTIONS)
        raise UserError(f"direction must be one of {tuple(DIRECTIONS)}, got {direction!r}{suggestion}")
    return DIRECTIONS[direction]


def words(direction: str) -> str:
    """As a table prints it.

    >>> words("infrared_to_visible")
    'infrared to visible'
    """
    return direction.replace("_", " ")


def check_counts(**counts: int) -> None:
    """UserError unless all are at least 1."""
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
    """(N,) rows of a modality (None: both) and of some cameras (none: all), in the order of the table.

    Errors: DataError, naming the `protocol` and the `role` of the images, where there is no such row.
    """
    chosen = np.ones(len(table), bool)
    if modality is not None:
        chosen &= table.modality == modality
    if cameras:
        chosen &= np.isin(table.cameras, cameras)
    if chosen.any():
        return np.flatnonzero(chosen)
    wanted = [modality.name.lower()] if modality is not None else []
    wanted += [f"of the cameras {with_names(cameras, table.camera_names)}"] if cameras else []
    raise DataError(
        f"{protocol} found no {role} images: none of the {len(table)} test images is {' and '.join(wanted)}"
        f"{cameras_present(table)}"
    )


def cameras_present(table: EmbeddingTable) -> str:
    """The cameras of the test images by modality, in parentheses, to append to an error message."""
    present = {m: sorted(set(table.cameras[table.modality == m].tolist())) for m in Modality}
    words = [f"{m.name.lower()} {with_names(c[:MOST], table.camera_names)}" for m, c in present.items() if c]
    more = ", ..." if any(len(cameras) > MOST for cameras in present.values()) else ""
    return f" (cameras of the test images: {'; '.join(words)}{more})" if words else ""


def folders_of(table: EmbeddingTable, rows: np.ndarray) -> list[np.ndarray]:
    """The rows of each (identity, camera) that has any; identities ascending, cameras within, else as they came."""
    rows = rows[np.lexsort((table.cameras[rows], table.labels[rows]))]
    borders = np.flatnonzero(np.diff(table.labels[rows]) | np.diff(table.cameras[rows])) + 1
    return np.split(rows, borders)


def junk_of(rule: Junk | None, table: EmbeddingTable) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A rule about identities and cameras as `Trial.junk` wants it, about rows. None: all are counted."""

    def junk(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        if rule is None:
            return np.zeros((len(query), len(gallery)), bool)
        return rule(table.labels[query], table.cameras[query], table.labels[gallery], table.cameras[gallery])

    return junk


def answering(trials: Iterable[Trial]) -> np.ndarray:
    """(G,) rows that answer in any of the trials, ascending."""
    return np.unique(np.concatenate([trial.gallery for trial in trials]))
