"""Whether a rule of a protocol ignores any pair of a query and a gallery image of a table."""

from __future__ import annotations

import numpy as np

from vireid.core.types import EmbeddingTable


def share_a_camera(table: EmbeddingTable, query: np.ndarray, gallery: np.ndarray) -> bool:
    """Return whether some camera has images among both the query rows and the gallery rows."""
    return bool(np.isin(table.cameras[query], table.cameras[gallery]).any())


def share_identity_and_camera(table: EmbeddingTable, query: np.ndarray, gallery: np.ndarray) -> bool:
    """Return whether some identity has a query and a gallery image of the same camera."""
    pairs = np.stack([table.labels, table.cameras], axis=1)
    codes = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
    return bool(np.isin(codes[query], codes[gallery]).any())


def smallest_gap(table: EmbeddingTable, query: np.ndarray, gallery: np.ndarray) -> float:
    """Return the seconds between the nearest query and gallery image of one camera; inf without such a pair.

    All samples of the table must have times.
    """
    assert table.samples is not None
    times = np.array([sample.time for sample in table.samples], float)
    rows = np.concatenate([query, gallery])
    of_query = np.arange(len(rows)) < len(query)
    order = np.lexsort((times[rows], table.cameras[rows]))
    rows, of_query = rows[order], of_query[order]
    # Sorted by time within each camera, the nearest pair of both kinds is adjacent.
    adjacent = (of_query[1:] != of_query[:-1]) & (table.cameras[rows][1:] == table.cameras[rows][:-1])
    gaps = np.diff(times[rows])[adjacent]
    return float(gaps.min()) if len(gaps) else float("inf")
