"""Clusters of embeddings: DBSCAN with Jaccard distances."""

from __future__ import annotations

import numpy as np

from vireid.clustering.dbscan import dbscan
from vireid.clustering.jaccard import jaccard_graph
from vireid.core.errors import DataError


def cluster_features(features: np.ndarray, *, eps: float, min_samples: int, k1: int, k2: int) -> np.ndarray:
    """Cluster rows by DBSCAN with the Jaccard distance of their k-reciprocal neighbors.

    Args:
        features: (N, D) embeddings, of any norm.
        eps: Largest distance of near rows.
        min_samples: Near rows that make a row the core of a cluster, itself included.
        k1: Number of nearest rows, the row itself included.
        k2: Number of nearest rows over which encodings are averaged.

    Returns:
        (N,) int64 number of the cluster; -1: outlier.

    Raises:
        ArgumentError: For values out of range.
        DataError: For embeddings that are not finite.
    """
    if not np.isfinite(features).all():
        row = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
        raise DataError(f"the embedding of row {row} is not finite; it cannot be clustered")
    return dbscan(jaccard_graph(features, k1=k1, k2=k2, eps=eps), min_samples=min_samples)
