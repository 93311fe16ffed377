"""Queries and gallery as re-ranking takes them."""

from __future__ import annotations

import numpy as np

from vireid.core.errors import DataError, UserError

LARGE = 1e9  # entries above it or below its inverse: their squares leave the range of float32


def checked(queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sides contiguous and of one type: float64 where either is, float32 otherwise."""
    queries, gallery = np.asarray(queries), np.asarray(gallery)
    for side, rows in (("query", queries), ("gallery", gallery)):
        if rows.dtype.kind not in "fiu":
            raise UserError(f"{side} features are of the type {rows.dtype}; give real numbers")
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1] or 0 in gallery.shape:
        raise UserError(f"features must be (Q, D) and (G, D) with the same D, got {queries.shape} and {gallery.shape}")
    dtype = np.float64 if np.float64 in (queries.dtype, gallery.dtype) else np.float32
    sides = {"query": np.ascontiguousarray(queries, dtype), "gallery": np.ascontiguousarray(gallery, dtype)}
    for side, rows in sides.items():
        bad = ~np.isfinite(rows).all(axis=1)
        if bad.any():
            raise DataError(f"{side} features: row {int(bad.argmax())} is not finite ({int(bad.sum())} such rows)")
    return sides["query"], sides["gallery"]


def stacked(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """(Q + G, D): the queries, then the gallery.

    If squared distances would overflow or vanish in the precision of the rows, all rows are multiplied by one power of
    two: relative distances stay the same.
    """
    rows = np.concatenate(checked(queries, gallery))
    return scaled(rows, np.abs(rows).max(initial=0))


def directed(queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sides as in `checked`; rows whose squares leave the range of float32 are multiplied by powers of two.

    For methods that compare directions only.
    """
    sides = checked(queries, gallery)
    query, other = (scaled(rows, np.abs(rows).max(axis=1, initial=0, keepdims=True)) for rows in sides)
    return query, other


def scaled(rows: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """The rows times powers of two (exact) where their largest entry is extreme."""
    extreme = (largest > LARGE) | ((largest > 0) & (largest < 1 / LARGE))
    if not extreme.any():
        return rows
    return np.ldexp(rows, np.where(extreme, -np.frexp(largest)[1], 0)).astype(rows.dtype)
