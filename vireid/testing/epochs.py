"""Start of an epoch with pseudo labels, for tests of losses that need one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vireid.core.pseudo_labels import PseudoLabels
from vireid.core.types import Batch, EmbeddingTable, Progress, Sample
from vireid.testing.tiny import SIZES


@dataclass(frozen=True)
class TinyEpoch:
    """Epoch context (`core.interfaces.EpochContext`) with random embeddings."""

    progress: Progress
    samples: Sequence[Sample]
    labels: PseudoLabels | None
    table: EmbeddingTable

    def training_features(self, view: int = 0, flips: Literal["none", "mean"] = "none") -> EmbeddingTable:
        """Return the same embeddings for any view and flips."""
        return self.table


def cluster_labels(batch: Batch) -> Tensor:
    """Number the labels of a batch as pseudo labels (B,): those of infrared rows follow those of visible rows.

    Example:
        >>> from vireid.testing import tiny_batch
        >>> sorted(set(cluster_labels(tiny_batch(identities=2)).tolist()))
        [0, 1, 2, 3]
    """
    return batch.labels + batch.modality * (int(batch.labels.max()) + 1)


def tiny_epoch(batch: Batch, *, width: int = SIZES["D"], epoch: int = 0, seed: int = 0) -> TinyEpoch:
    """Create the start of an epoch whose training set has the rows of a batch, with `cluster_labels`.

    Args:
        batch: The rows.
        width: Width of the embeddings.
        epoch: Number of finished epochs.
        seed: Seed of the embeddings, random L2-normalized rows.

    Example:
        >>> from vireid.testing import tiny_batch
        >>> context = tiny_epoch(tiny_batch(identities=3))
        >>> context.labels.visible_clusters, context.training_features().embeddings.shape
        (3, (18, 16))
    """
    rows = torch.randn(len(batch), width, generator=torch.Generator().manual_seed(seed))
    rows = (rows / rows.norm(dim=1, keepdim=True)).numpy()
    labels, modality, cameras = (value.numpy() for value in (cluster_labels(batch), batch.modality, batch.cameras))
    table = EmbeddingTable(rows, labels=np.full(len(batch), -1), cameras=cameras, modality=modality)
    number = int(batch.labels.max()) + 1
    return TinyEpoch(Progress(epoch=epoch), (), PseudoLabels(labels, number, number), table)
