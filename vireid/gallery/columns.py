"""Columns of an archive: names, types, values of what is unknown, and checks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vireid.core.errors import DataError, UserError, nearest

UNKNOWN = -1  # unknown identity, camera, modality, frame, track, size or time of a file
NUMBERS = ("identity", "camera", "frame", "track", "size", "mtime_ns", "ctime_ns")  # int64, UNKNOWN if not recorded
COLUMNS = ("path", "frame", "track", "box", "identity", "camera", "modality", "time")
FILE_COLUMNS = ("digest", "size", "mtime_ns", "ctime_ns")
GIVEN = (*COLUMNS, *FILE_COLUMNS, "added_at")  # columns of `ArchiveRows`; `source` is computed from them
STORED = ("source", *GIVEN)
REQUIRED = ("path", "modality")
MODALITY_NUMBERS = (0, 1)  # of core.types.Modality, whose module imports torch


@dataclass(frozen=True)
class ArchiveRows:
    """Embeddings and columns to store, or as they are stored.

    Attributes:
        embeddings: Embeddings (N, D) of any norm; they are stored L2-normalized.
        columns: Columns (N,). `path` (of the image or video file) and `modality` (0 visible, 1 infrared) are required.
            `identity`, `camera`, `frame` (number in a video), `track`, `size`, `mtime_ns` and `ctime_ns` (of the file)
            are integers, -1 if unknown. `time` and `added_at` are seconds since 1970; an unknown `time` is NaN, and
            `added_at` is by default the time of the addition. `box` (N, 4) is x1, y1, x2, y2 in pixels, NaN for the
            whole picture. `digest` is the SHA-256 of the file's content, "" if unknown.
    """

    embeddings: np.ndarray
    columns: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.embeddings)


def checked_columns(columns: Mapping[str, Any], number: int, *, added_at: float) -> dict[str, np.ndarray]:
    """Check columns, convert them to the stored types, fill in unknown values and add `source`.

    Args:
        columns: Columns of `ArchiveRows`.
        number: N, the number of embeddings.
        added_at: Value of the column `added_at` if it is not given.

    Raises:
        UserError: If a column is missing, has an unknown name, or does not have `number` entries.
        DataError: With the column and the first row that has an invalid value.

    Example:
        >>> checked_columns({"path": ["a.png"], "modality": [1]}, 1, added_at=0.0)["camera"].tolist()
        [-1]
    """
    for name in columns:
        if name not in GIVEN:
            raise UserError(f"columns: {name!r} is unknown{nearest(name, GIVEN)} (known: {', '.join(GIVEN)})")
    for name in REQUIRED:
        if name not in columns:
            raise UserError(f"columns: {name!r} is missing (required: {', '.join(REQUIRED)})")
    unknown: dict[str, Any] = {name: np.full(number, UNKNOWN) for name in NUMBERS}
    unknown |= {"box": np.full((number, 4), np.nan), "time": np.full(number, np.nan)}
    unknown |= {"digest": [""] * number, "added_at": np.full(number, added_at)}
    checked = {}
    for name in GIVEN:
        values = columns.get(name, unknown.get(name))
        if len(values) != number:
            raise UserError(f"columns: {name!r} has {len(values)} entries, but there are {number} embeddings")
        checked[name] = _CHECKS.get(name, _numbers)(name, values)
    return {"source": np.array(source_keys(checked), object), **checked}


def source_keys(columns: Mapping[str, np.ndarray]) -> list[str]:
    """Return a digest of the source of each row: path, frame and track, and the box if the track is unknown.

    A row replaces another one with the same key: the second embedding of an image, or of a frame of a track.
    """
    boxes = [None if box[0] != box[0] else box for box in columns["box"].tolist()]
    parts = zip(columns["path"].tolist(), columns["frame"].tolist(), columns["track"].tolist(), boxes)
    texts = (json.dumps([path, frame, track, box if track == UNKNOWN else None]) for path, frame, track, box in parts)
    return [hashlib.blake2b(text.encode(), digest_size=16).hexdigest() for text in texts]


def require_distinct(columns: Mapping[str, np.ndarray]) -> None:
    """Raise DataError if two rows have the same source."""
    first: dict[str, int] = {}
    for row, key in enumerate(columns["source"].tolist()):
        if first.setdefault(key, row) != row:
            raise DataError(
                f"rows {first[key]} and {row} have the same source ({source_text(columns, row)}): give each image, or"
                " each frame of a track, once"
            )


def source_text(columns: Mapping[str, np.ndarray], row: int) -> str:
    """Format the source of a row for an error message."""
    named = [f"{name} {columns[name][row]}" for name in ("frame", "track") if columns[name][row] != UNKNOWN]
    return ", ".join([str(columns["path"][row]), *named])


def _numbers(name: str, values: Any) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 1 or (len(values) and values.dtype.kind not in "iu"):
        raise DataError(f"columns: {name!r} must be integers (N,), got {values.dtype} {values.shape}")
    _refuse(name, values, values > np.iinfo(np.int64).max, "is larger than 2**63 - 1")
    values = values.astype(np.int64)
    _refuse(name, values, values < UNKNOWN, "is negative (-1 is unknown)")
    return values


def _modalities(name: str, values: Any) -> np.ndarray:
    values = _numbers(name, values)
    _refuse(name, values, ~np.isin(values, MODALITY_NUMBERS), "is neither 0 (visible) nor 1 (infrared)")
    return values


def _seconds(name: str, values: Any) -> np.ndarray:
    values = _real(name, values, 1)
    _refuse(name, values, np.isinf(values), "is infinite (NaN is unknown)")
    return values


def _boxes(name: str, values: Any) -> np.ndarray:
    values = _real(name, values, 2).astype(np.float32)
    if values.shape[1] != 4:
        raise DataError(f"columns: {name!r} must be (N, 4): x1, y1, x2, y2, got the shape {values.shape}")
    positive = np.isfinite(values).all(1) & (values[:, 0] < values[:, 2]) & (values[:, 1] < values[:, 3])
    bad = ~positive & ~np.isnan(values).all(1)
    _refuse(name, values, bad, "has no area (x1 < x2 and y1 < y2 in pixels, or NaN four times for the whole picture)")
    return values


def _paths(name: str, values: Sequence[Any]) -> np.ndarray:
    texts = _texts(name, values)
    _refuse(name, texts, np.array([not text for text in texts], bool), "is empty")
    return texts


def _texts(name: str, values: Sequence[Any]) -> np.ndarray:
    texts = [value.decode("ascii") if isinstance(value, bytes) else str(value) for value in values]
    for row, text in enumerate(texts):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(f"columns: {name!r}, row {row}: {text!r} is not valid Unicode; rename the file") from error
    return np.array(texts, object)


def _real(name: str, values: Any, dimensions: int) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != dimensions or values.dtype.kind not in "fiu":
        raise DataError(f"columns: {name!r} must be real numbers, got {values.dtype} {values.shape}")
    return values.astype(np.float64)


def _refuse(name: str, values: np.ndarray, bad: np.ndarray, text: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"columns: {name!r}, row {row}: {values[row]} {text} ({int(bad.sum())} of {len(bad)} rows)")


_CHECKS: Mapping[str, Callable[[str, Any], np.ndarray]] = {
    "path": _paths,
    "digest": _texts,
    "modality": _modalities,
    "time": _seconds,
    "added_at": _seconds,
    "box": _boxes,
}
