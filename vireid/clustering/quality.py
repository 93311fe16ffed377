"""Agreement of two partitions of the same images: adjusted Rand index, adjusted mutual information, purity."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import gammaln


def adjusted_rand_index(found: np.ndarray, true: np.ndarray) -> float:
    """Share of image pairs on which two partitions agree, corrected for chance: 1 if equal, about 0 if independent.

    Args:
        found: (N,) labels of one partition.
        true: (N,) labels of the other.

    Source:
        Hubert, Arabie, "Comparing partitions", Journal of Classification 1985.

    Example:
        >>> adjusted_rand_index(np.array([0, 0, 1, 1]), np.array([7, 7, 3, 3]))
        1.0
    """
    table = _contingency(found, true)
    together = _pairs(table.data).sum()
    rows, columns = (_pairs(np.asarray(table.sum(axis=axis)).ravel()).sum() for axis in (1, 0))
    expected = rows * columns / max(_pairs(np.array([len(found)], np.float64)).sum(), 1)
    largest = (rows + columns) / 2
    return 1.0 if largest == expected else float((together - expected) / (largest - expected))


def adjusted_mutual_information(found: np.ndarray, true: np.ndarray) -> float:
    """Mutual information of two partitions, corrected for chance and divided by the mean of their entropies.

    Args:
        found: (N,) labels of one partition.
        true: (N,) labels of the other.

    Source:
        Vinh, Epps, Bailey, "Information Theoretic Measures for Clusterings Comparison", JMLR 2010.

    Example:
        >>> adjusted_mutual_information(np.array([0, 0, 1, 1]), np.array([7, 7, 3, 3]))
        1.0
    """
    table = _contingency(found, true).tocoo()
    total = len(found)
    rows, columns = (np.asarray(table.sum(axis=axis)).ravel() for axis in (1, 0))
    joint = table.data / total
    mutual = float((joint * np.log(total * table.data / (rows[table.row] * columns[table.col]))).sum())
    expected = _expected_information(rows, columns)
    mean = (_entropy(rows) + _entropy(columns)) / 2
    if abs(mean - expected) < 1e-12:
        return 1.0  # both partitions have one part, or both only single images
    return round(float((mutual - expected) / (mean - expected)), 12)


def purity(found: np.ndarray, true: np.ndarray) -> float:
    """Share of images that have the most frequent true label of their cluster.

    Example:
        >>> purity(np.array([0, 0, 0, 1]), np.array([5, 5, 6, 6]))
        0.75
    """
    return float(_contingency(found, true).max(axis=1).sum() / len(found))


def _contingency(found: np.ndarray, true: np.ndarray) -> Any:
    """Numbers of images of each pair of labels: (parts of found, parts of true)."""
    assert len(found) == len(true), "two partitions of the same images"
    assert len(found), "at least one image"
    _, rows = np.unique(found, return_inverse=True)
    _, columns = np.unique(true, return_inverse=True)
    return sparse.coo_matrix((np.ones(len(rows)), (rows, columns))).tocsr()


def _pairs(sizes: np.ndarray) -> np.ndarray:
    return sizes * (sizes - 1) / 2


def _entropy(sizes: np.ndarray) -> float:
    shares = sizes / sizes.sum()
    return float(-(shares * np.log(shares)).sum())


def _expected_information(rows: np.ndarray, columns: np.ndarray) -> float:
    """Expected mutual information of random partitions with these sizes (hypergeometric model)."""
    total = rows.sum()
    row_sizes, row_counts = np.unique(rows, return_counts=True)
    column_sizes, column_counts = np.unique(columns, return_counts=True)
    expected = 0.0
    for size, repeated in zip(row_sizes, row_counts):  # distinct sizes are few
        shared = np.arange(1, min(size, column_sizes.max()) + 1)[None, :]
        other = column_sizes[:, None]
        possible = (shared <= other) & (shared >= size + other - total)
        at = np.where(possible, shared, 1)
        log_probability = (
            gammaln(size + 1)
            + gammaln(other + 1)
            + gammaln(total - size + 1)
            + gammaln(total - other + 1)
            - gammaln(total + 1)
            - gammaln(at + 1)
            - gammaln(size - at + 1)
            - gammaln(np.maximum(other - at, 0) + 1)
            - gammaln(np.maximum(total - size - other + at, 0) + 1)
        )
        information = at / total * np.log(total * at / (size * other)) * np.exp(log_probability)
        expected += repeated * float((np.where(possible, information, 0).sum(axis=1) * column_counts).sum())
    return expected
