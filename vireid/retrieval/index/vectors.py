"""Checks and L2 normalization of the embeddings that the indexes take."""

from __future__ import annotations

import numpy as np

from vireid.core.errors import ArgumentError, DataError, UserError


def unit_rows(features: np.ndarray, *, width: int | None, what: str) -> np.ndarray:
    """L2-normalize the rows of (N, D) to contiguous float32.

    Args:
        features: Embeddings (N, D) of any norm.
        width: Required D, if known.
        what: Name of the rows in error messages: "queries" or "gallery".

    Raises:
        UserError: If this is not a matrix, or has another width.
        DataError: If a row is zero or not finite.

    Example:
        >>> unit_rows(np.array([[0.0, 2.0]]), width=2, what="queries").tolist()
        [[0.0, 1.0]]
    """
    if features.ndim != 2 or features.shape[1] == 0:
        raise UserError(f"{what} must be a matrix (images, width), got the shape {features.shape}")
    if width is not None and features.shape[1] != width:
        raise UserError(f"{what} have the width {features.shape[1]}, but the index holds embeddings of width {width}")
    with np.errstate(over="ignore"):  # such rows are computed again below
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
    """Divide rows whose squares overflow or vanish in float32 by their largest entry; the others do not change."""
    rows, length, places = rows.copy(), length.copy(), np.flatnonzero(bad)
    some = np.asarray(features[places], np.float64)
    largest = np.abs(some).max(axis=1)
    usable = np.isfinite(largest) & (largest > 0)
    some = some[usable] / largest[usable, None]
    rows[places[usable]], length[places[usable], 0] = some, np.linalg.norm(some, axis=1)
    return rows, length, ~(np.isfinite(length) & (length > 0))[:, 0]


def checked_search(number: int, k: int, allowed: np.ndarray | None) -> None:
    """Check the arguments of a search.

    Raises:
        UserError: If the gallery is empty, k is below 1 or the mask `allowed` does not fit the gallery.
    """
    if number == 0:
        raise UserError("the gallery is empty: add images before searching")
    if k < 1:
        raise ArgumentError("k", f"must be at least 1, got {k}")
    if allowed is not None and (allowed.shape != (number,) or allowed.dtype != bool):
        raise UserError(
            f"allowed must be a bool array of shape ({number},), one entry for each image,"
            f" got {allowed.dtype} {allowed.shape}"
        )


def filled(scores: np.ndarray, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Pad the results (Q, K') to k places with the score -inf and the id -1.

    >>> filled(np.array([[0.5]]), np.array([[3]]), 2)[1].tolist()
    [[3, -1]]
    """
    missing = k - ids.shape[1]
    if missing <= 0:
        return scores, ids
    edges = ((0, 0), (0, missing))
    return np.pad(scores, edges, constant_values=-np.inf), np.pad(ids, edges, constant_values=-1)
