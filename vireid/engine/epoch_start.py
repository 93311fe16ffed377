"""Start of an epoch: embeddings of the training set, pseudo labels, and the parts that refresh their state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from vireid.core.interfaces import ReportsEpoch, StartsEpoch
from vireid.core.pseudo_labels import PseudoLabels
from vireid.core.types import EmbeddingTable, Progress, Sample

Flips = Literal["none", "mean"]
Embed = Callable[[int, int, Flips], EmbeddingTable]


@dataclass
class EpochStart:
    """Data that a part may request at the start of an epoch (`core.interfaces.EpochContext`).

    Args:
        progress: Position in the training.
        embed: View, epoch, flips -> embeddings of the training set.
        samples: Training samples.
        labels: Pseudo labels of the epoch.
    """

    progress: Progress
    embed: Embed
    samples: Sequence[Sample] = ()
    labels: PseudoLabels | None = None
    _tables: dict[tuple[int, Flips], EmbeddingTable] = field(default_factory=dict)

    def training_features(self, view: int = 0, flips: Flips = "none") -> EmbeddingTable:
        if (view, flips) not in self._tables:
            self._tables[view, flips] = self.embed(view, self.progress.epoch, flips)
        return self._tables[view, flips]


@dataclass(frozen=True)
class LabelRecord:
    """Pseudo labels of an epoch.

    Args:
        labels: The labels.
        seconds: Time of the embeddings and of the clustering.
        values: What losses report about the start of the epoch, such as matched clusters.
    """

    labels: PseudoLabels
    seconds: float
    values: Mapping[str, float]


def starting_parts(modules: Iterable[nn.Module]) -> list[StartsEpoch]:
    """The modules that refresh their state before each epoch."""
    return [module for module in modules if isinstance(module, StartsEpoch)]


def epoch_reports(modules: Iterable[nn.Module]) -> dict[str, float]:
    """What all modules report about the start of the epoch."""
    reporting = [module for module in modules if isinstance(module, ReportsEpoch)]
    return {name: value for module in reporting for name, value in module.epoch_report.items()}
