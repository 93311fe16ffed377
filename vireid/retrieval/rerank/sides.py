"""Queries and gallery as re-ranking takes them."""

from __future__ import annotations

import numpy as np

from vireid.core.errors import DataError, UserError


def checked(queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sides contiguous and of one type: float64 where either is, float32 otherwise."""
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
    """(Q + G, D): the queries, then the gallery."""
    return np.concatenate(checked(queries, gallery))
