"""Conditions on the gallery images of a search: camera, modality and time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vireid.core.errors import DataError, UserError
from vireid.core.types import Modality
from vireid.gallery.store import UNKNOWN

SHOWN = 20  # known values that an error lists


@dataclass(frozen=True)
class Filter:
    """Conditions on gallery images, all of which must hold. An image without a time meets no condition on time."""

    cameras: tuple[int, ...] = ()
    modality: Modality | None = None
    after: float | None = None  # seconds
    before: float | None = None

    def allowed(self, columns: Mapping[str, np.ndarray], among: np.ndarray | None = None) -> np.ndarray | None:
        """Return the allowed rows (G,) bool; None if all rows are allowed.

        Args:
            columns: Columns of the gallery, (G,) each.
            among: (G,) bool, rows that a search may return at all; every row if None.

        Raises:
            UserError: If `after` is later than `before`.
            DataError: If no image meets one of the conditions, or no image meets all of them.
        """
        rows = np.ones(len(columns["path"]), bool) if among is None else among
        if self.after is not None and self.before is not None and self.after > self.before:
            raise UserError(f"no time is after {self.after:.15g} and before {self.before:.15g}: exchange the two")
        conditions = list(self._conditions(columns))
        for one in conditions:
            if not (one.met & rows).any():
                raise DataError(f"no image of the gallery passes {one.text}: {one.known(columns, rows)}")
        keep = rows.copy()
        if alternatives := [one.met for one in conditions if one.any_of]:
            keep &= np.any(alternatives, axis=0)
        for one in conditions:
            keep &= one.met | one.any_of
        if not keep.any():
            texts = ", ".join(one.text for one in conditions)
            raise DataError(
                f"no image of the gallery passes all conditions together ({texts}): {_cameras(columns, rows)}"
            )
        return None if keep.all() else keep

    def without_time(self, columns: Mapping[str, np.ndarray], among: np.ndarray) -> int:
        """Count the images that a condition on time leaves out because their time is unknown."""
        if self.after is None and self.before is None:
            return 0
        return int((among & ~np.isfinite(columns["time"])).sum())

    def _conditions(self, columns: Mapping[str, np.ndarray]) -> Iterator[_Condition]:
        for camera in self.cameras:
            yield _Condition(f"camera {camera}", columns["camera"] == camera, _cameras, any_of=True)
        if self.modality is not None:
            met = columns["modality"] == int(self.modality)
            yield _Condition(f"modality {self.modality.name.lower()}", met, _modalities)
        if self.after is not None:
            yield _Condition(f"after {self.after:.15g}", columns["time"] >= self.after, _times)
        if self.before is not None:
            yield _Condition(f"before {self.before:.15g}", columns["time"] <= self.before, _times)


@dataclass(frozen=True)
class _Condition:
    text: str
    met: np.ndarray  # (G,) bool
    known: Callable[[Mapping[str, np.ndarray], np.ndarray], str]  # formats the values of the rows
    any_of: bool = False  # a row needs one of several cameras


def _cameras(columns: Mapping[str, np.ndarray], rows: np.ndarray) -> str:
    known = np.unique(columns["camera"][rows & (columns["camera"] != UNKNOWN)])
    more = ", ..." if len(known) > SHOWN else ""
    return f"its cameras are {', '.join(map(str, known[:SHOWN]))}{more}" if len(known) else "no camera is recorded"


def _modalities(columns: Mapping[str, np.ndarray], rows: np.ndarray) -> str:
    names = [Modality(int(value)).name.lower() for value in np.unique(columns["modality"][rows])]
    return f"its modalities are {', '.join(names)}"


def _times(columns: Mapping[str, np.ndarray], rows: np.ndarray) -> str:
    known = columns["time"][rows & np.isfinite(columns["time"])]
    return f"its times are {span(known)}" if len(known) else "no time is recorded"


def span(times: np.ndarray) -> str:
    """Format the first and the last time.

    >>> span(np.array([1717142400.0, 100.0]))
    '100 to 1717142400'
    """
    return f"{times.min():.15g} to {times.max():.15g}"
