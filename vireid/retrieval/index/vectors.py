"""What every index asks of the vectors that it is given."""

from __future__ import annotations

import numpy as np

from vireid.core.errors import DataError, UserError


def unit_rows(features: np.ndarray, *, width: int | None, what: str) -> np.ndarray:
    """(N, D) float32 unit rows, contiguous.

    `width`: what D must be, where that is known; `what`: how errors name the rows ("queries", "gallery").
    """
    if features.ndim != 2 or features.shape[1] == 0:
        raise UserError(f"{what} must be a matrix (images, width), got the shape {features.shape}")
    if width is not None and features.shape[1] != width:
        raise UserError(f"{what} are {features.shape[1]} wide, but the index holds vectors of width {width}")
    with np.errstate(over="ignore"):  # such rows are done again below
        rows = np.ascontiguousarray(features, dtype=np.float32)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = ~(np.isfinite(length) & (length > 0))[:, 0]
    if bad.any():
        rows, length, bad = _rescaled(features, rows, length, bad)
    if bad.any():
        row = int(bad.argmax())
        fault = "zero" if (rows[row] == 0).all() else "not finite"
        raise DataError(f"{what}: row {row} is {fault} ({int(bad.sum())} of {len(bad)} rows cannot be compared)")
    return rows / length


def _rescaled(
    features: np.ndarray, rows: np.ndarray, length: np.ndarray, bad: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Divide rows whose squared entries overflow or vanish in float32 by their largest entry; the others stay."""
    rows, length, places = rows.copy(), length.copy(), np.flatnonzero(bad)
    some = np.asarray(features[places], np.float64)
    largest = np.abs(some).max(axis=1)
    usable = np.isfinite(largest) & (largest > 0)
    some = some[usable] / largest[usable, None]
    rows[places[usable]], length[places[usable], 0] = some, np.linalg.norm(some, axis=1)
    return rows, length, ~(np.isfinite(length) & (length > 0))[:, 0]


def checked_search(number: int, k: int, allowed: np.ndarray | None) -> None:
    """Refuse what no search can answer."""
    if number == 0:
        raise UserError("the gallery is empty: add images before searching")
    if k < 1:
        raise UserError(f"k must be at least 1, got {k}")
    if allowed is not None and (allowed.shape != (number,) or allowed.dtype != bool):
        raise UserError(
            f"allowed must be {number} truth values, one for each image, got {allowed.dtype} {allowed.shape}"
        )


def filled(scores: np.ndarray, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The answers (Q, K') with -inf and -1 added up to k places."""
    missing = k - ids.shape[1]
    if missing <= 0:
        return scores, ids
    edges = ((0, 0), (0, missing))
    return np.pad(scores, edges, constant_values=-np.inf), np.pad(ids, edges, constant_values=-1)
