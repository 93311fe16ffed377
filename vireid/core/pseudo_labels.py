"""Pseudo labels: labels of training images that come from clustering, not from annotation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.core.types import Modality

OUTLIER = -1


@dataclass(frozen=True)
class PseudoLabels:
    """Cluster of every training image. Each modality is clustered alone, so no label stands in both.

    Args:
        labels: (N,) int64. Visible clusters are 0 .. visible_clusters - 1, infrared clusters the numbers after them;
            -1: outlier.
        visible_clusters: Number of clusters of visible images.
        infrared_clusters: Number of clusters of infrared images.
    """

    labels: np.ndarray
    visible_clusters: int
    infrared_clusters: int

    @classmethod
    def joined(cls, clusters: np.ndarray, modality: np.ndarray) -> PseudoLabels:
        """Join the clusters of both modalities, which are numbered from 0 in each.

        Args:
            clusters: (N,) cluster within the modality of the image; -1: outlier.
            modality: (N,) modality.

        Example:
            >>> labels = PseudoLabels.joined(np.array([0, 1, -1, 0]), np.array([0, 0, 1, 1]))
            >>> labels.labels.tolist(), labels.visible_clusters, labels.infrared_clusters
            ([0, 1, -1, 2], 2, 1)
        """
        clusters = np.asarray(clusters, np.int64)
        visible = np.asarray(modality) == Modality.VISIBLE
        counts = [int(clusters[rows].max(initial=OUTLIER)) + 1 for rows in (visible, ~visible)]
        labels = np.where((clusters != OUTLIER) & ~visible, clusters + counts[0], clusters)
        return cls(labels, *counts)

    def __len__(self) -> int:
        return len(self.labels)
