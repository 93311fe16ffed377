"""Label sources: components of the slot LABELS, which make the labels of the training images."""

from __future__ import annotations

from typing import Literal

import numpy as np

from vireid.clustering.cluster import cluster_features
from vireid.core.errors import ArgumentError, DataError
from vireid.core.pseudo_labels import PseudoLabels
from vireid.core.registries import LABEL_SOURCES
from vireid.core.types import EmbeddingTable, Modality


@LABEL_SOURCES.register
class AnnotatedLabels:
    """The labels of the dataset, for the whole training."""


@LABEL_SOURCES.register
class DBSCANPseudoLabels:
    """Clusters of the embeddings of each modality, by DBSCAN with the Jaccard distance of k-reciprocal neighbors.

    The training images are clustered at the start of each epoch. The training receives neither identities nor
    attributes of persons. Images without a cluster (outliers) take no part in the epoch.

    Args:
        eps: Largest Jaccard distance of near images, in (0, 1).
        min_samples: Images within `eps`, the image itself included, that make an image the core of a cluster.
        k1: Size of the k-reciprocal neighborhood, the image itself included.
        k2: Neighbors over which encodings are averaged; 1: no averaging.
        flips: "mean" clusters the mean of the embeddings of an image and of its mirror image, "none" those of the
            image.

    Raises:
        ArgumentError: For values out of range.

    Source:
        ADCA (ACM MM 2022), released code; PGM (CVPR 2023) has the same. Defaults are those for SYSU-MM01.

    Departs:
        Only the distances up to `eps` are stored, in place of an N x N matrix.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> centers = np.repeat(np.eye(4), 8, axis=0)
        >>> rows = centers + 0.01 * rng.standard_normal(centers.shape)
        >>> rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        >>> number = np.zeros(32, np.int64)
        >>> table = EmbeddingTable(rows, labels=number - 1, cameras=number, modality=np.arange(32) // 16)
        >>> labels = DBSCANPseudoLabels(k1=8, k2=2).assign(table)
        >>> labels.visible_clusters, labels.infrared_clusters
        (2, 2)
    """

    def __init__(
        self,
        *,
        eps: float = 0.6,
        min_samples: int = 4,
        k1: int = 30,
        k2: int = 6,
        flips: Literal["none", "mean"] = "mean",
    ) -> None:
        if not 0 < eps < 1:
            raise ArgumentError("eps", f"must be in (0, 1), got {eps:g}")
        for name, value in (("min_samples", min_samples), ("k1", k1), ("k2", k2)):
            if value < 1:
                raise ArgumentError(name, f"must be at least 1, got {value}")
        self.eps, self.min_samples, self.k1, self.k2, self.flips = eps, min_samples, k1, k2, flips

    def assign(self, table: EmbeddingTable) -> PseudoLabels:
        """Cluster the images of each modality.

        Raises:
            DataError: If a modality has no cluster, because no loss could be computed.
        """
        clusters = np.full(len(table), -1, np.int64)
        for modality in Modality:
            rows = np.flatnonzero(table.modality == modality)
            found = cluster_features(
                table.embeddings[rows], eps=self.eps, min_samples=self.min_samples, k1=self.k1, k2=self.k2
            )
            if not (found >= 0).any():
                raise DataError(
                    f"LABELS: the {len(rows)} {modality.name.lower()} training images form no cluster with EPS"
                    f" {self.eps:g} and MIN_SAMPLES {self.min_samples}; raise EPS or lower MIN_SAMPLES"
                )
            clusters[rows] = found
        return PseudoLabels.joined(clusters, table.modality)
