"""Checks and L2 normalization of the embeddings that the indexes take."""

from __future__ import annotations

import numpy as np

from vireid.core.arrays import embedding_matrix, l2_normalized_rows
from vireid.core.errors import ArgumentError, UserError


def unit_rows(features: np.ndarray, *, width: int | None, what: str) -> np.ndarray:
    """Check embeddings and L2-normalize them to contiguous float32.

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
    return l2_normalized_rows(what, embedding_matrix(what, features, width=width), dtype=np.float32)


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
