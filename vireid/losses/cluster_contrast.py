"""Contrastive losses of clusters, for training without identity labels (ADCA, PGM)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.clustering.aggregation import shared_pairs
from vireid.clustering.matching import match_clusters
from vireid.core.errors import ArgumentError, ConfigError, nearest
from vireid.core.interfaces import EpochContext
from vireid.core.pseudo_labels import OUTLIER, PseudoLabels
from vireid.core.registries import LOSSES
from vireid.core.types import EmbeddingTable, Modality
from vireid.layers.norms import l2_normalize
from vireid.losses.cluster_memory import ClusterMemory, Update, checked_memory, cluster_centroids

Flips = Literal["none", "mean"]


@LOSSES.register
class DualContrast(nn.Module):
    """Contrast the rows of each modality with the cluster centroids of that modality (stage 1 of ADCA and PGM).

    At the start of an epoch the centroids are the L2-normalized means of the embeddings of the clusters. A training
    step updates them after it used them (`ClusterMemory`).

    Args:
        temperature: Temperature of the logits.
        momentum: Weight of the old centroid in an update.
        update: "mean": a centroid takes the rows of its cluster one by one; "hard": only the least similar row.
        flips: Embeddings of the centroids: "mean": the mean of those of an image and of its mirror image; "none": those
            of the image.

    Shape:
        features_bn (R, D), labels (R,), modality (R,), view (R,) -> `visible`, `infrared`: mean cross-entropy of the
        logits x M / temperature over the rows of the modality, x the L2-normalized rows and M its centroids. `labels`
        are numbered as in `PseudoLabels`. Rows count in the order of their view, then of the batch.

    Raises:
        ConfigError: If LABELS makes no pseudo labels, or MODEL.EMBEDDING has another width than the field.

    Source:
        ADCA (ACM MM 2022), released code; PGM (CVPR 2023), stage 1, with momentum 0.2.

    Departs:
        Centroids are updated in the forward pass instead of the backward pass, which is the same for one update per
        step.

    Example:
        >>> loss = DualContrast()
        >>> loss.fill(torch.eye(4), PseudoLabels(np.arange(4), visible_clusters=2, infrared_clusters=2))
        >>> rows, zero = torch.eye(4), torch.zeros(4, dtype=torch.int64)
        >>> values = loss(rows, labels=torch.arange(4), modality=torch.tensor([0, 0, 1, 1]), view=zero)
        >>> {name: round(float(value), 4) for name, value in values.items()}
        {'visible': 0.0, 'infrared': 0.0}
    """

    needs_clusters: ClassVar[bool] = True

    def __init__(
        self,
        *,
        temperature: float = 0.05,
        momentum: float = 0.1,
        update: Update = "mean",
        flips: Flips = "mean",
    ) -> None:
        super().__init__()
        checked_memory(momentum, update, temperature)
        self.temperature, self.momentum = temperature, momentum
        self.update: Update = update
        self.flips: Flips = flips
        self.memory: ClusterMemory | None = None
        self.visible_clusters = 0

    # -- start of an epoch -----------------------------------------------------------------------------------------

    def start_epoch(self, context: EpochContext) -> None:
        """Fill the memory with the centroids of the clusters of this epoch."""
        if context.labels is None:
            raise ConfigError([f"{type(self).__name__} needs pseudo labels; set LABELS to a component that makes them"])
        table = context.training_features(flips=self.flips)
        rows = torch.from_numpy(table.embeddings)
        number = context.labels.visible_clusters + context.labels.infrared_clusters
        centroids = cluster_centroids(rows, torch.from_numpy(context.labels.labels), number)
        self.fill(self.aggregated(centroids, table, context.labels), context.labels)

    def aggregated(self, centroids: Tensor, table: EmbeddingTable, labels: PseudoLabels) -> Tensor:
        """The centroids from which the epoch starts."""
        return centroids

    def fill(self, centroids: Tensor, labels: PseudoLabels) -> None:
        """Set the memory to (C, D) centroids."""
        self.memory = ClusterMemory(centroids.clone(), momentum=self.momentum, update=self.update)
        self.visible_clusters = labels.visible_clusters

    # -- a step ----------------------------------------------------------------------------------------------------

    def forward(self, features_bn: Tensor, labels: Tensor, modality: Tensor, view: Tensor) -> dict[str, Tensor]:
        memory = self._memory_for(features_bn)
        order = torch.argsort(modality * (view.max() + 1) + view, stable=True)  # as one process has them
        x, labels, modality = l2_normalize(features_bn[order]), labels[order], modality[order]
        rows = {"visible": modality == Modality.VISIBLE, "infrared": modality == Modality.INFRARED}
        losses = self._own_modality(x, labels, modality, memory.centroids.clone())
        terms = {name: _mean(losses, chosen) for name, chosen in rows.items()}
        if self.training and torch.is_grad_enabled():
            memory.take(x.detach(), labels, labels >= 0)
        return terms

    def _memory_for(self, features: Tensor) -> ClusterMemory:
        assert self.memory is not None, "the memory is filled at the start of an epoch"
        self.memory.to(features)
        if self.memory.centroids.shape[1] != features.shape[1]:
            raise ConfigError(
                [
                    f"MODEL.EMBEDDING is {self.memory.centroids.shape[1]} wide and {type(self).__name__} reads a field"
                    f" of {features.shape[1]}; name the same field in MODEL.EMBEDDING and in the USES of this loss"
                ]
            )
        return self.memory

    def _own_modality(self, x: Tensor, labels: Tensor, modality: Tensor, centroids: Tensor) -> Tensor:
        """(R,) cross-entropy of each row with the centroids of its modality."""
        return F.cross_entropy(self._logits(x, modality, centroids), labels, reduction="none")

    def _logits(self, x: Tensor, modality: Tensor, centroids: Tensor) -> Tensor:
        """(R, C) logits; -inf for clusters of another modality than `modality`."""
        of_cluster = torch.arange(len(centroids), device=x.device) >= self.visible_clusters  # True: infrared
        foreign = of_cluster != (modality == Modality.INFRARED).unsqueeze(1)
        return (x @ centroids.to(x).T / self.temperature).masked_fill(foreign, -torch.inf)


@LOSSES.register
class AggregatedDualContrast(DualContrast):
    """`DualContrast` with cross-modality memory aggregation at the start of each epoch (stage 2 of ADCA).

    Visible and infrared clusters are paired by their number of similar image pairs (`clustering.shared_pairs`). The
    centroid of a paired visible cluster becomes keep * own + (1 - keep) * that of its infrared cluster; it is
    not L2-normalized until its first update. Infrared centroids stay.

    Args:
        temperature: Temperature of the logits.
        momentum: Weight of the old centroid in an update.
        update: "mean" or "hard", as in `DualContrast`.
        flips: Embeddings of the centroids, as in `DualContrast`.
        threshold: Smallest dot product of two embeddings that count as a similar image pair.
        keep: Weight of the visible centroid in the mixture.

    Shape:
        As `DualContrast`.

    Raises:
        As `DualContrast`.

    Source:
        ADCA (ACM MM 2022), released code. Its line for infrared centroids mixes them with themselves.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.05,
        momentum: float = 0.1,
        update: Update = "mean",
        flips: Flips = "mean",
        threshold: float = 0.5,
        keep: float = 0.1,
    ) -> None:
        super().__init__(temperature=temperature, momentum=momentum, update=update, flips=flips)
        if not 0 <= keep <= 1:
            raise ArgumentError("keep", f"must be in [0, 1], got {keep:g}")
        self.threshold, self.keep = threshold, keep
        self.epoch_report: Mapping[str, float] = {}

    def aggregated(self, centroids: Tensor, table: EmbeddingTable, labels: PseudoLabels) -> Tensor:
        visible = table.modality == Modality.VISIBLE
        infrared_clusters = labels.labels[~visible]
        found = shared_pairs(
            table.embeddings[visible],
            table.embeddings[~visible],
            labels.labels[visible],
            np.where(infrared_clusters == OUTLIER, OUTLIER, infrared_clusters - labels.visible_clusters),
            threshold=self.threshold,
        )
        self.epoch_report = {"paired_clusters": len(found.pairs)}
        pairs = torch.from_numpy(found.pairs)
        return mixed(centroids, pairs[:, 0], pairs[:, 1] + labels.visible_clusters, self.keep)


@LOSSES.register
class AlternateCrossContrast(DualContrast):
    """`DualContrast`, and contrast with the matched clusters of the other modality (stage 2 of PGM).

    Clusters of both modalities are matched by their centroids at the start of each epoch (`clustering.match_clusters`).
    In epochs 0, 2, ... visible rows are compared with the infrared centroids, in epochs 1, 3, ... infrared rows with
    the visible centroids. The compared rows also update these centroids, before the rows of their own modality do.

    Args:
        temperature: Temperature of the logits.
        momentum: Weight of the old centroid in an update.
        update: "mean" or "hard", as in `DualContrast`.
        flips: Embeddings of the centroids, as in `DualContrast`.
        cross_weight: Factor of `cross`.
        gradient: "exact": the gradient of the terms. "released": that of the released code, which differentiates the
            term of the modality whose centroids `cross` used with the centroids that `cross` has updated.

    Shape:
        As `DualContrast`, and `cross`, weight included: mean cross-entropy of the compared rows with the centroid of
        the matched cluster.

    Raises:
        As `DualContrast`.

    Source:
        PGM (CVPR 2023), released code: progressive graph matching and alternate cross contrastive learning.

    Departs:
        Clusters are matched whichever modality has more of them, and until each has a partner. `gradient` "exact" is
        the default; the direction of the released gradient depends on the order of automatic differentiation.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.05,
        momentum: float = 0.2,
        update: Update = "mean",
        flips: Flips = "mean",
        cross_weight: float = 0.25,
        gradient: Literal["exact", "released"] = "exact",
    ) -> None:
        super().__init__(temperature=temperature, momentum=momentum, update=update, flips=flips)
        if cross_weight < 0:
            raise ArgumentError("cross_weight", f"must be at least 0, got {cross_weight:g}")
        if gradient not in ("exact", "released"):
            raise ArgumentError(
                "gradient", f"{gradient!r} is not one of exact, released{nearest(gradient, ('exact', 'released'))}"
            )
        self.cross_weight, self.released = cross_weight, gradient == "released"
        self.epoch_report: Mapping[str, float] = {}
        self.compared = Modality.VISIBLE
        self.partners = torch.zeros(0, dtype=torch.int64)

    def start_epoch(self, context: EpochContext) -> None:
        super().start_epoch(context)
        assert self.memory is not None
        assert context.labels is not None
        centroids, first = self.memory.centroids.numpy(), context.labels.visible_clusters
        matches = match_clusters(centroids[:first], centroids[first:])
        self.match(np.concatenate([matches.infrared_of_visible + first, matches.visible_of_infrared]))
        self.compared = Modality(context.progress.epoch % 2)
        self.epoch_report = {"matched_clusters": len(centroids), "one_to_one": min(first, len(centroids) - first)}

    def match(self, partners: np.ndarray) -> None:
        """Set the partner of each cluster, (C,), in the numbering of `PseudoLabels`."""
        self.partners = torch.from_numpy(np.asarray(partners, np.int64))

    def forward(self, features_bn: Tensor, labels: Tensor, modality: Tensor, view: Tensor) -> dict[str, Tensor]:
        memory = self._memory_for(features_bn)
        order = torch.argsort(modality * (view.max() + 1) + view, stable=True)
        x, labels, modality = l2_normalize(features_bn[order]), labels[order], modality[order]
        rows = {"visible": modality == Modality.VISIBLE, "infrared": modality == Modality.INFRARED}
        before = memory.centroids.clone()
        compared = modality == self.compared
        self.partners = self.partners.to(labels.device)  # once an epoch: a copy from the host waits for the device
        partners = self.partners[labels]
        crossed = self._own_modality(x, partners, 1 - modality, before)
        update = self.training and torch.is_grad_enabled()
        if update:
            memory.take(x.detach(), partners, compared)
        losses = self._own_modality(x, labels, modality, before)
        if self.released:
            losses = self._released(losses, x, labels, modality, before, memory.centroids.clone())
        terms = {name: _mean(losses, chosen) for name, chosen in rows.items()}
        terms["cross"] = self.cross_weight * _mean(crossed, compared)
        if update:
            memory.take(x.detach(), labels, labels >= 0)
        return terms

    def _released(
        self, losses: Tensor, x: Tensor, labels: Tensor, modality: Tensor, before: Tensor, after: Tensor
    ) -> Tensor:
        """The same values with the released gradient: (softmax - one-hot) of the old logits times the new centroids."""
        logits = self._logits(x.detach(), modality, before)
        residual = (logits.softmax(dim=1) - F.one_hot(labels, len(before))) / self.temperature
        direction = (residual * (x @ after.to(x).T)).sum(dim=1)
        return losses.detach() + direction - direction.detach()


def mixed(centroids: Tensor, visible: Tensor, infrared: Tensor, keep: float) -> Tensor:
    """Mix the centroids of paired clusters: those of `visible` become keep * own + (1 - keep) * the partner's.

    Shape:
        centroids (C, D), visible (P,), infrared (P,) row numbers -> (C, D)
    """
    out = centroids.clone()
    out[visible] = keep * centroids[visible] + (1 - keep) * centroids[infrared]
    return out


def _mean(values: Tensor, rows: Tensor) -> Tensor:
    """Mean of (R,) values over the selected rows; 0 if no row is selected."""
    return torch.where(rows, values, 0).sum() / rows.sum().clamp_min(1)
