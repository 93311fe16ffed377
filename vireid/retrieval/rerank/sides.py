"""Checks and scaling of the query and gallery embeddings that re-ranking takes."""

from __future__ import annotations

import numpy as np

from vireid.core.errors import DataError, UserError

LARGE = 1e9  # squares of entries above this or below its inverse overflow or vanish in float32


def check_embeddings(queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check both sides and return them contiguous, in float64 if either is float64 and in float32 otherwise.

    Raises:
        UserError: If they are not two matrices of the same width, or the gallery is empty.
        DataError: If a row is not finite.
    """
    queries, gallery = np.asarray(queries), np.asarray(gallery)
    for side, rows in (("query", queries), ("gallery", gallery)):
        if rows.dtype.kind not in "fiu":
            raise UserError(f"{side} features are of the type {rows.dtype}; give real numbers")
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1] or 0 in gallery.shape:
        raise UserError(
            f"embeddings must be (Q, D) and (G, D) with the same D, got {queries.shape} and {gallery.shape}"
        )
    dtype = np.float64 if np.float64 in (queries.dtype, gallery.dtype) else np.float32
    sides = {"query": np.ascontiguousarray(queries, dtype), "gallery": np.ascontiguousarray(gallery, dtype)}
    for side, rows in sides.items():
        bad = ~np.isfinite(rows).all(axis=1)
        if bad.any():
            raise DataError(f"{side} embeddings: row {int(bad.argmax())} is not finite ({int(bad.sum())} such rows)")
    return sides["query"], sides["gallery"]


def stack_embeddings(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Stack the queries and the gallery to (Q + G, D).

    If squared distances would overflow or vanish in the precision of the rows, all rows are multiplied by one power of
    two, which keeps relative distances.
    """
    rows = np.concatenate(check_embeddings(queries, gallery))
    return scaled(rows, np.abs(rows).max(initial=0))


def rescale_embeddings(queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check both sides; multiply rows whose squares overflow or vanish in float32 by powers of two.

    This is for methods that compare directions only.
    """
    sides = check_embeddings(queries, gallery)
    query, other = (scaled(rows, np.abs(rows).max(axis=1, initial=0, keepdims=True)) for rows in sides)
    return query, other


def scaled(rows: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Multiply the rows by powers of two (exact) where their largest entry is extreme."""
    extreme = (largest > LARGE) | ((largest > 0) & (largest < 1 / LARGE))
    if not extreme.any():
        return rows
    return np.ldexp(rows, np.where(extreme, -np.frexp(largest)[1], 0)).astype(rows.dtype)
