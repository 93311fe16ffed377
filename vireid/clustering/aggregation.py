"""Cross-modality pairs of clusters by their number of similar image pairs (ADCA)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vireid.core.pseudo_labels import OUTLIER

BLOCK = 1 << 22  # similarities in memory at a time


@dataclass(frozen=True)
class ClusterPairs:
    """Counted pairs of clusters, most similar first, and the pairs that are used."""

    counts: np.ndarray  # (M, 3) int64: visible cluster, infrared cluster (-1: outliers), similar image pairs
    pairs: np.ndarray  # (P, 2) int64: visible and infrared cluster; each cluster at most once


def shared_pairs(
    visible: np.ndarray,
    infrared: np.ndarray,
    visible_clusters: np.ndarray,
    infrared_clusters: np.ndarray,
    *,
    threshold: float,
) -> ClusterPairs:
    """Count the similar image pairs of each pair of clusters and select pairs of clusters greedily.

    An image pair is similar if its dot product is at least `threshold`. Pairs of clusters are ordered by their number
    of similar image pairs, equal numbers by the largest dot product. In this order a pair is taken if neither of
    its clusters is taken already; outliers are counted and never taken.

    Args:
        visible: (V, D) embeddings, of any norm.
        infrared: (I, D) embeddings.
        visible_clusters: (V,) clusters from 0; -1: outlier.
        infrared_clusters: (I,) clusters from 0; -1: outlier.
        threshold: Smallest dot product of a similar image pair.

    Source:
        ADCA (ACM MM 2022), released code (cross-modality memory aggregation).

    Departs:
        Counted in blocks of rows; the release sorts the list of all V x I image pairs.
    """
    rows, columns = torch.from_numpy(visible), torch.from_numpy(infrared)
    sides = visible_clusters, infrared_clusters
    of_row, of_column = (torch.from_numpy(np.asarray(side, np.int64)) + 1 for side in sides)
    width = int(of_column.max()) + 1 if len(of_column) else 1
    cells = (int(of_row.max()) + 1 if len(of_row) else 1) * width
    counts, best = torch.zeros(cells, dtype=torch.int64), rows.new_full((cells,), -torch.inf)
    step = max(1, BLOCK // max(len(columns), 1))
    for start in range(0, len(rows), step):
        similar = rows[start : start + step] @ columns.T
        at = (similar >= threshold).nonzero(as_tuple=True)
        cell = of_row[start : start + step][at[0]] * width + of_column[at[1]]
        counts += torch.bincount(cell, minlength=cells)
        best.scatter_reduce_(0, cell, similar[at], "amax")
    filled = counts.nonzero()[:, 0]
    number, largest = counts[filled].numpy(), best[filled].numpy()
    order = np.lexsort((filled.numpy(), -largest, -number))
    cell, number = filled.numpy()[order], number[order]
    counted = np.stack([cell // width - 1, cell % width - 1, number], axis=1)
    return ClusterPairs(counted, _greedy(counted[:, :2]))


def _greedy(pairs: np.ndarray) -> np.ndarray:
    """The pairs of an ordered list whose clusters are not in an earlier selected pair; outliers are left out."""
    seen_visible, seen_infrared, taken = {OUTLIER}, {OUTLIER}, []
    for visible, infrared in pairs.tolist():
        if visible not in seen_visible and infrared not in seen_infrared:
            seen_visible.add(visible)
            seen_infrared.add(infrared)
            taken.append((visible, infrared))
    return np.array(taken, np.int64).reshape(-1, 2)
