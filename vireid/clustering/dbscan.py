"""DBSCAN on a sparse graph of near pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csgraph

from vireid.core.errors import ArgumentError
from vireid.core.pseudo_labels import OUTLIER


def dbscan(graph: Any, *, min_samples: int) -> np.ndarray:
    """Cluster the rows of a graph of near pairs by density.

    A row with at least `min_samples` near rows, itself included, is a core. A cluster consists of the cores that are
    connected through near pairs of cores; clusters are numbered by their first core. Another row that is near a core
    joins the cluster of the lowest number among its near cores. All others are outliers.

    Args:
        graph: (N, N) scipy sparse matrix in CSR form, symmetric, with every row near itself; the stored entries are the
            near pairs, whatever their values.
        min_samples: Near rows of a core.

    Returns:
        (N,) int64 number of the cluster, -1 for outliers. A cluster can have fewer than `min_samples` rows, because
        rows between two clusters belong to the first.

    Raises:
        ArgumentError: If `min_samples` is below 1.

    Source:
        Ester et al., "A Density-Based Algorithm for Discovering Clusters", KDD 1996.

    Example:
        >>> from scipy import sparse
        >>> near = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]])
        >>> dbscan(sparse.csr_matrix(near), min_samples=3).tolist()
        [0, 0, 0, -1]
    """
    if min_samples < 1:
        raise ArgumentError("min_samples", f"must be at least 1, got {min_samples}")
    graph = graph.copy()
    graph.data = np.ones(len(graph.data), np.int8)  # a stored distance of 0 is a near pair, too
    labels = np.full(graph.shape[0], OUTLIER, np.int64)
    core = np.diff(graph.indptr) >= min_samples
    cores, others = np.flatnonzero(core), np.flatnonzero(~core)
    if not len(cores):
        return labels
    _, found = csgraph.connected_components(graph[cores][:, cores], directed=False)
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    labels[cores] = number[inverse]
    borders = graph[others][:, cores].tocsr()
    reached = np.flatnonzero(np.diff(borders.indptr))
    if len(reached):
        lowest = np.minimum.reduceat(labels[cores][borders.indices], borders.indptr[reached])
        labels[others[reached]] = lowest
    return labels
