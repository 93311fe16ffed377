"""Query and gallery embeddings of a re-ranking: checked, in one precision, without extreme entries."""

from __future__ import annotations

import numpy as np

from vireid.core.arrays import embedding_matrices, require_finite, rescaled


def check_embeddings(queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check both sides and return them contiguous, in float64 if either is float64 and in float32 otherwise.

    Raises:
        UserError: If they are not two matrices of the same width, or the gallery is empty.
        DataError: If a row is not finite.
    """
    queries, gallery = embedding_matrices(queries, gallery)
    dtype = np.float64 if np.float64 in (queries.dtype, gallery.dtype) else np.float32
    return (
        require_finite("query embeddings", np.ascontiguousarray(queries, dtype)),
        require_finite("gallery embeddings", np.ascontiguousarray(gallery, dtype)),
    )


def stack_embeddings(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Stack the queries and the gallery to (Q + G, D).

    If squared distances would overflow or vanish in the precision of the rows, all rows are multiplied by one power of
    two, which keeps relative distances.
    """
    rows = np.concatenate(check_embeddings(queries, gallery))
    return rescaled(rows, np.abs(rows).max(initial=0))


def rescale_embeddings(queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check both sides; multiply rows whose squares overflow or vanish in float32 by powers of two.

    This is for methods that compare directions only.
    """
    sides = check_embeddings(queries, gallery)
    query, other = (rescaled(rows, np.abs(rows).max(axis=1, initial=0, keepdims=True)) for rows in sides)
    return query, other
