"""Checks and L2 normalization of embeddings in NumPy arrays."""

from __future__ import annotations

import numpy as np

from vireid.core.errors import DataError, UserError

LARGE = 1e9  # squares of entries above this, or below its inverse, overflow or vanish in float32


def embedding_matrix(name: str, rows: np.ndarray, *, width: int | None = None) -> np.ndarray:
    """Check that an array is a matrix of embeddings (N, D) of real numbers; N may be 0.

    Args:
        name: Name of the rows in error messages.
        rows: The array.
        width: Required D, if known.

    Raises:
        UserError: If it is not a matrix of real numbers, or has another width.

    Example:
        >>> embedding_matrix("queries", np.eye(2), width=2).shape
        (2, 2)
    """
    rows = np.asarray(rows)
    if rows.dtype.kind not in "fiu":
        raise UserError(f"{name}: the type is {rows.dtype}; give real numbers")
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise UserError(f"{name}: must be a matrix (images, width) with entries, got the shape {rows.shape}")
    if width is not None and rows.shape[1] != width:
        raise UserError(f"{name}: the width is {rows.shape[1]}, but {width} is needed")
    return rows


def embedding_matrices(queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check that queries (Q, D) and gallery (G, D) are matrices of one width, and the gallery is not empty.

    Raises:
        UserError: If they are not.
    """
    queries, gallery = embedding_matrix("queries", queries), embedding_matrix("gallery", gallery)
    if queries.shape[1] != gallery.shape[1] or len(gallery) == 0:
        raise UserError(
            f"embeddings must be (Q, D) and (G, D) with the same D and G at least 1, got {queries.shape} and"
            f" {gallery.shape}"
        )
    return queries, gallery


def require_finite(name: str, rows: np.ndarray) -> np.ndarray:
    """Check that all rows of a matrix are finite.

    Raises:
        DataError: With the first row that is not, and their number.
    """
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise DataError(f"{name}: row {int(bad.argmax())} is not finite ({int(bad.sum())} of {len(rows)} rows)")
    return rows


def rescaled(rows: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Multiply rows by powers of two, which is exact, where their largest entry is extreme.

    Args:
        rows: The rows (N, D).
        largest: Largest absolute entry, of each row (N, 1) or of all rows ().

    Example:
        >>> rescaled(np.array([[2e30, 1e30], [2.0, 1.0]]), np.array([[2e30], [2.0]]))[1].tolist()
        [2.0, 1.0]
    """
    extreme = np.isfinite(largest) & ((largest > LARGE) | ((largest > 0) & (largest < 1 / LARGE)))
    if not extreme.any():
        return rows
    return np.ldexp(rows, np.where(extreme, -np.frexp(largest)[1], 0)).astype(rows.dtype)


def l2_normalized_rows(name: str, rows: np.ndarray, *, dtype: type[np.floating] | None = None) -> np.ndarray:
    """L2-normalize the rows of a matrix, also those whose squares overflow or vanish.

    Args:
        name: Name of the rows in error messages.
        rows: Matrix (N, D) of real numbers of any norm.
        dtype: Precision of the result; None keeps float32 and float64 and converts everything else to float32.

    Returns:
        Contiguous rows (N, D) of norm 1.

    Raises:
        DataError: If a row is zero or not finite.

    Example:
        >>> l2_normalized_rows("queries", np.array([[0.0, 2.0], [3e-30, 4e-30]])).round(6).tolist()
        [[0.0, 1.0], [0.6, 0.8]]
    """
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float64 if rows.dtype == np.longdouble else np.float32)
    with np.errstate(invalid="ignore"):
        rows = rescaled(rows, np.abs(rows).max(axis=1, keepdims=True, initial=0))
    rows = np.ascontiguousarray(rows, dtype=dtype or rows.dtype)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = ~(np.isfinite(length) & (length > 0))[:, 0]
    if bad.any():
        row = int(bad.argmax())
        fault = "zero" if (rows[row] == 0).all() else "not finite"
        raise DataError(f"{name}: row {row} is {fault} ({int(bad.sum())} of {len(bad)} rows cannot be compared)")
    return rows / length
