"""Select rows of an archive by camera, modality, time, identity, track and path."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vireid.core.errors import ArgumentError


@dataclass(frozen=True)
class Selection:
    """Conditions on the rows of an archive, all of which must hold; of several values of one condition any.

    A row without a time meets no condition on time. Values are bound as literals of their type, so that no text of a
    user is part of an expression.

    Args:
        cameras: Numbers of cameras; empty for all. The same for `identities`, `tracks` and `paths`.
        identities: Identities.
        tracks: Tracks. They are numbered within a video: select its path as well.
        paths: Paths of image or video files, as they are stored.
        modality: 0 (visible) or 1 (infrared), or a `Modality`.
        after: First time in seconds, included.
        before: Last time in seconds, included.

    Raises:
        ArgumentError: If a value has the wrong type, or `after` is later than `before`.

    Example:
        >>> Selection(cameras=(1, 2), paths=("it's.png",)).predicate()
        "camera IN (1, 2) AND path IN ('it''s.png')"
    """

    cameras: tuple[int, ...] = ()
    modality: int | None = None
    after: float | None = None
    before: float | None = None
    identities: tuple[int, ...] = ()
    tracks: tuple[int, ...] = ()
    paths: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("cameras", "identities", "tracks", "paths"):
            if isinstance(getattr(self, name), str):
                raise ArgumentError(name, f"must be a tuple of values, got the text {getattr(self, name)!r}")
        for name in ("cameras", "identities", "tracks"):
            for value in getattr(self, name):
                _require_integer(name, value)
        for path in self.paths:
            if not isinstance(path, str):
                raise ArgumentError("paths", f"must be texts, got {path!r}")
        if self.modality is not None:
            _require_integer("modality", self.modality)
            if self.modality not in (0, 1):
                raise ArgumentError("modality", f"must be 0 (visible) or 1 (infrared), got {self.modality!r}")
        for name in ("after", "before"):
            value = getattr(self, name)
            real = isinstance(value, (int, float, np.number)) and math.isfinite(value)
            if value is not None and (isinstance(value, bool) or not real):
                raise ArgumentError(name, f"must be a finite number of seconds, got {value!r}")
        if self.after is not None and self.before is not None and self.after > self.before:
            raise ArgumentError("after", f"is later than before ({self.after} > {self.before}): exchange the two")

    def predicate(self) -> str | None:
        """Return the conditions as an expression of Lance; None without conditions."""
        lists = {"camera": self.cameras, "identity": self.identities, "track": self.tracks, "path": self.paths}
        conditions = [is_in(column, values) for column, values in lists.items() if values]
        if self.modality is not None:
            conditions.append(f"modality = {literal(self.modality)}")
        if self.after is not None or self.before is not None:
            conditions.append("NOT isnan(time)")  # NaN is above every number here
        if self.after is not None:
            conditions.append(f"time >= {literal(float(self.after))}")
        if self.before is not None:
            conditions.append(f"time <= {literal(float(self.before))}")
        return " AND ".join(conditions) or None


def is_in(column: str, values: tuple[int, ...] | tuple[str, ...]) -> str:
    """Return the expression that a column has one of these values.

    >>> is_in("track", (3,))
    'track IN (3)'
    """
    return f"{column} IN ({', '.join(map(literal, values))})"


def literal(value: int | float | str) -> str:
    """Format a value as a literal of an expression: a quote inside a text is doubled, other characters are plain.

    >>> literal("a' OR '1"), literal(2.0)
    ("'a'' OR ''1'", 'CAST(2.0 AS DOUBLE)')
    """
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, float):
        return f"CAST({value!r} AS DOUBLE)"
    return str(int(value))


def _require_integer(name: str, value: object) -> None:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ArgumentError(name, f"must be integers, got {value!r}")
    if not -(2**63) <= int(value) < 2**63:
        raise ArgumentError(name, f"must be below 2**63, got {value}")
