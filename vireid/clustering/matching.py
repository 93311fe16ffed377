"""Progressive matching of the clusters of two modalities by their centroids (PGM)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment


@dataclass(frozen=True)
class Matches:
    """Partner of each cluster in the other modality."""

    infrared_of_visible: np.ndarray  # (V,) int64, infrared cluster of each visible cluster
    visible_of_infrared: np.ndarray  # (I,) int64, visible cluster of each infrared cluster


def match_clusters(visible: np.ndarray, infrared: np.ndarray) -> Matches:
    """Match clusters by minimum-cost assignment, in rounds, until every cluster has a partner.

    The cost of a pair is exp(-cosine similarity of the centroids). In the first round, each cluster of the modality
    with fewer clusters (infrared if equal) gets one partner, and the pair holds both ways. The other clusters are
    assigned to the same clusters in further rounds, whose own partners stay.

    Args:
        visible: (V, D) centroids, of any norm.
        infrared: (I, D) centroids.

    Source:
        PGM (CVPR 2023), released code.

    Departs:
        Rounds continue until no cluster is left; the release has two, and fails if one modality has more than twice as
        many clusters. Its code for SYSU-MM01 matches nothing if there are fewer visible clusters than infrared ones.

    Example:
        >>> visible, infrared = np.eye(3), np.eye(3)[[2, 0]]
        >>> matches = match_clusters(visible, infrared)
        >>> matches.infrared_of_visible.tolist(), matches.visible_of_infrared.tolist()
        ([1, 0, 0], [2, 0])
    """
    cost = np.exp(-(_unit(visible) @ _unit(infrared).T))
    if len(visible) >= len(infrared):
        of_more, of_less = _rounds(cost)
        return Matches(of_more, of_less)
    of_more, of_less = _rounds(cost.T)
    return Matches(of_less, of_more)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(min=1e-12)


def _rounds(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Partners of the rows and of the columns of a cost matrix with at least as many rows as columns."""
    of_rows, of_columns = np.full(cost.shape[0], -1, np.int64), np.full(cost.shape[1], -1, np.int64)
    while (left := np.flatnonzero(of_rows < 0)).size:
        rows, columns = linear_sum_assignment(cost[left])
        of_rows[left[rows]] = columns
        if of_columns[0] < 0:  # the first round
            of_columns[columns] = left[rows]
    return of_rows, of_columns
