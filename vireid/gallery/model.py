"""A trained model as a gallery uses it: images to vectors, and a fingerprint that says which model it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vireid.config import assemble
from vireid.core.types import Sample
from vireid.data.augment.transforms import normalise
from vireid.data.images.depth import DepthMapping
from vireid.data.loading import BatchLoader, sequential_batches
from vireid.engine.environment import Environment
from vireid.evaluation.extract import extract_features
from vireid.experiment.experiment import Experiment
from vireid.models.cross_modality_net import CrossModalityNet


@dataclass(frozen=True)
class TrainedModel:
    """Describes images of `size` (height, width)."""

    net: CrossModalityNet
    environment: Environment
    size: tuple[int, int]
    batch: int
    words: str
    depth: DepthMapping | None = None  # how gray images of more than 8 bits become 8 bits

    @classmethod
    def of(cls, path: str | Path, overrides: Sequence[Any] = ()) -> TrainedModel:
        """The model that the run of a config would evaluate: its checkpoint that counts, or WEIGHTS.

        The data set need not be there.
        """
        experiment = Experiment.from_config(path, overrides)
        net, selection, environment = experiment.deployed()
        config = experiment.config
        words = f"{path}, {selection}"
        return cls(net, environment, tuple(config.SIZE), config.TEST_BATCH, words, assemble.depth(config))

    def fingerprint(self) -> str:
        """Changes with every weight, with the fields that are compared, and with size and DATA.DEPTH of images."""
        total = hashlib.sha256(repr((self.size, tuple(self.net.descriptor))).encode())
        if self.depth is not None:
            total.update(str(self.depth).encode())
        for name, value in sorted(self.net.state_dict().items()):
            total.update(name.encode())
            total.update(value.detach().cpu().numpy().tobytes())
        return total.hexdigest()

    def embed(self, samples: Sequence[Sample], images: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8 images -> (N, D) float32 unit rows."""
        table = extract_features(
            self.net.embed,
            BatchLoader(samples, images, sequential_batches(len(samples), self.batch)),
            device=self.environment.device,
            autocast=self.environment.autocast,
            prepare=lambda batch: batch.with_images(normalise(batch.images)),
        )
        return table.embeddings
