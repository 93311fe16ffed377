"""A trained model of a gallery: compute embeddings, and identify the model by a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vireid.core.types import Sample
from vireid.data.augment.pixels import normalize
from vireid.data.images.depth import DepthMapping
from vireid.data.loading import BatchLoader, sequential_batches
from vireid.embedder.loading import describe
from vireid.engine.distributed import Environment
from vireid.evaluation.extract import extract_features
from vireid.evaluation.open_set.decision import DecisionRule
from vireid.experiment.experiment import Experiment
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.runs.thresholds import thresholds_of


@dataclass(frozen=True)
class TrainedModel:
    """A trained model for images of `size` (height, width)."""

    net: CrossModalityNet
    environment: Environment
    size: tuple[int, int]
    batch: int
    words: str
    depth: DepthMapping | None = None  # conversion of gray images of more than 8 bits to 8 bits
    decision: DecisionRule | None = None  # thresholds and calibration of these weights

    @classmethod
    def of(cls, path: str | Path, overrides: Sequence[Any] = ()) -> TrainedModel:
        """Load the model that the run of a config would evaluate: its selected checkpoint, or WEIGHTS.

        The dataset of the config does not have to exist. The thresholds of the run are used if they were chosen for
        these weights; with FLIP_TEST they are not, because a gallery embeds images once.
        """
        experiment = Experiment.from_config(path, overrides)
        net, selection, environment = experiment.deployed()
        config = experiment.config
        words = f"{path}, {selection}"
        decision, thresholds = None, experiment.folder.thresholds
        if thresholds.exists() and config.FLIP_TEST == "none":
            decision = thresholds_of(thresholds, describe(experiment, selection).fingerprint(net))
        size, depth = tuple(config.SIZE), experiment.build.depth()
        return cls(net, environment, size, config.TEST_BATCH, words, depth, decision)

    def fingerprint(self) -> str:
        """Return a digest of the weights, the compared fields, the image size and DATA.DEPTH."""
        total = hashlib.sha256(repr((self.size, tuple(self.net.embedding))).encode())
        if self.depth is not None:
            total.update(str(self.depth).encode())
        for name, value in sorted(self.net.state_dict().items()):
            total.update(name.encode())
            total.update(value.detach().cpu().numpy().tobytes())
        return total.hexdigest()

    def embed(self, samples: Sequence[Sample], images: np.ndarray) -> np.ndarray:
        """Embed images: (N, H, W, 3) uint8 -> (N, D) float32, L2-normalized."""
        table = extract_features(
            self.net.embed,
            BatchLoader(samples, images, sequential_batches(len(samples), self.batch)),
            device=self.environment.device,
            autocast=self.environment.autocast,
            prepare=lambda batch: batch.with_images(normalize(batch.images)),
        )
        return table.embeddings
