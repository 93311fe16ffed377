"""Memory of cluster centroids of both modalities, filled at the start of an epoch and updated in each step."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from vireid.core.errors import ArgumentError, nearest
from vireid.layers.norms import l2_normalize

Update = Literal["mean", "hard"]


def cluster_centroids(rows: Tensor, clusters: Tensor, number: int) -> Tensor:
    """Compute the L2-normalized mean of the rows of each cluster.

    Shape:
        rows (N, D) of any norm, clusters (N,) int64 in 0 .. number - 1 or -1 (left out) -> (number, D)
    """
    kept = clusters >= 0
    totals = rows.new_zeros(number, rows.shape[1]).index_add(0, clusters[kept], rows[kept])
    counts = torch.bincount(clusters[kept], minlength=number).clamp_min(1)
    return l2_normalize(totals / counts.unsqueeze(1))


class ClusterMemory:
    """Centroids of all clusters, those of visible images first, as `PseudoLabels` numbers them.

    The memory lasts one epoch and has another size in the next, so it is not part of a state dict. A resumed epoch
    fills it again.

    Args:
        centroids: (C, D) centroids of the start of the epoch.
        momentum: Weight of the OLD centroid in an update, in [0, 1); both weights are rounded to float32, as in the
            release.
        update: "mean": a centroid takes the rows of its cluster one by one, in their order, and is L2-normalized after
            each. "hard": it takes only the row that is least similar to it, the first of equal ones.

    Source:
        ADCA (ACM MM 2022) and PGM (CVPR 2023), released code (after Cluster Contrast).
    """

    def __init__(self, centroids: Tensor, *, momentum: float, update: Update) -> None:
        self.centroids, self.hard = centroids, update == "hard"
        old = torch.tensor(momentum, dtype=torch.float32)
        self.old, self.new = old.item(), (1 - old).item()

    def to(self, rows: Tensor) -> None:
        """Move the memory to the device of these rows."""
        if self.centroids.device != rows.device:
            self.centroids = self.centroids.to(rows.device)

    @torch.no_grad()
    def take(self, rows: Tensor, clusters: Tensor, chosen: Tensor) -> None:
        """Update the centroids with the chosen rows.

        Shape:
            rows (R, D) L2-normalized, clusters (R,), chosen (R,) bool
        """
        if self.hard:
            chosen = self._hardest(rows, clusters, chosen)
        if rows.device.type == "cpu":
            self._by_occurrence(rows, clusters, chosen)
        else:
            self._scan(rows, clusters, chosen, steps=1 if self.hard else len(rows))

    def _by_occurrence(self, rows: Tensor, clusters: Tensor, chosen: Tensor) -> None:
        """Update with the first row of each cluster, then with the second ones, and so on."""
        rank = occurrences(clusters, chosen)
        for number in range(int(rank.max()) + 1 if len(rank) else 0):
            now = rank == number
            self.centroids[clusters[now]] = self._moved(self.centroids[clusters[now]], rows[now])

    def _scan(self, rows: Tensor, clusters: Tensor, chosen: Tensor, steps: int) -> None:
        """The same for `steps` rows of each cluster, without reading a value, which would wait for the device."""
        slot = torch.where(chosen, clusters, len(self.centroids))  # the last slot takes what is not chosen
        order = torch.argsort(slot, stable=True)
        slot, rows = slot[order], rows[order]
        first, end = torch.searchsorted(slot, slot), torch.searchsorted(slot, slot, right=True)
        padded = torch.cat([self.centroids, self.centroids.new_zeros(1, rows.shape[1])])
        state = padded[slot]  # the rows of a cluster all hold its centroid
        for number in range(steps):
            at = first + number
            moved = self._moved(state, rows[at.clamp_max(len(rows) - 1)])
            state = torch.where((at < end).unsqueeze(1), moved, state)
        self.centroids = padded.index_copy(0, slot, state)[:-1]

    def _moved(self, centroids: Tensor, rows: Tensor) -> Tensor:
        return l2_normalize(self.old * centroids + self.new * rows).to(centroids.dtype)

    def _hardest(self, rows: Tensor, clusters: Tensor, chosen: Tensor) -> Tensor:
        """The chosen row of each cluster that is least similar to its centroid, (R,) bool."""
        similar = (rows * self.centroids[clusters.clamp_min(0)]).sum(dim=1).masked_fill(~chosen, torch.inf)
        slot = torch.where(chosen, clusters, len(self.centroids))
        lowest = similar.new_full((len(self.centroids) + 1,), torch.inf).scatter_reduce(0, slot, similar, "amin")
        hardest = chosen & (similar <= lowest[slot])
        return hardest & (occurrences(clusters, hardest) == 0)


def occurrences(clusters: Tensor, chosen: Tensor) -> Tensor:
    """Number the chosen rows of each cluster from 0 in their order; -1 for rows that are not chosen.

    Example:
        >>> occurrences(torch.tensor([4, 2, 4, 4]), torch.tensor([True, True, False, True])).tolist()
        [0, 0, -1, 1]
    """
    key = torch.where(chosen, clusters, -1)
    order = torch.argsort(key, stable=True)
    ordered = key[order]
    position = torch.arange(len(key), device=key.device)
    starts = torch.searchsorted(ordered, ordered)
    rank = torch.empty_like(order)
    rank[order] = position - starts
    return torch.where(chosen, rank, -1)


def checked_memory(momentum: float, update: str, temperature: float) -> None:
    """Check the arguments of a loss with such a memory.

    Raises:
        ArgumentError: For values out of range and unknown names.
    """
    if not 0 <= momentum < 1:
        raise ArgumentError("momentum", f"must be in [0, 1), got {momentum:g}")
    if temperature <= 0:
        raise ArgumentError("temperature", f"must be above 0, got {temperature:g}")
    known = get_args(Update)
    if update not in known:
        raise ArgumentError("update", f"{update!r} is not one of {', '.join(known)}{nearest(update, known)}")
