"""From batches of pixels to embeddings: the interface of an embedder to a network or to an exported file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Protocol

import numpy as np
import torch

from vireid.core.types import Batch, EmbeddingTable, Modality
from vireid.data.augment.pixels import normalize
from vireid.embedder.description import ModelDescription
from vireid.evaluation.extract import extract_features
from vireid.evaluation.flips import with_mirror
from vireid.models.cross_modality_net import CrossModalityNet


class PixelModel(Protocol):
    """Computes embeddings of uint8 images of one size."""

    @property
    def network(self) -> CrossModalityNet:
        """The network; UserError if the model has none."""
        ...

    @property
    def device(self) -> torch.device:
        """Device of the computation."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides an embedding."""
        ...

    @property
    def width(self) -> int:
        """Width D of an embedding."""
        ...

    def embed(self, batches: Iterable[Batch]) -> EmbeddingTable:
        """Compute L2-normalized embeddings of batches of uint8 images, in the order of `Batch.index`."""
        ...


class NetworkModel:
    """Embeddings computed by a network.

    Args:
        network: The network with its weights.
        description: Its pre-processing.
        device: Device of the network.
        autocast: Factory of the context in which the network runs.
    """

    def __init__(
        self,
        network: CrossModalityNet,
        description: ModelDescription,
        device: torch.device,
        autocast: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        self.network, self.description, self.device, self.autocast = network.eval(), description, device, autocast

    @property
    def fingerprint(self) -> str:
        """See `PixelModel`."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return self.description.fingerprint(self.network)

    @property
    def width(self) -> int:
        """See `PixelModel`."""
        return self._width

    @cached_property
    def _width(self) -> int:
        zero = torch.zeros(1, dtype=torch.int64)
        noise = np.random.default_rng(0).integers(0, 256, (1, 3, *self.description.size), dtype=np.uint8)
        modality = torch.full((1,), int(Modality.VISIBLE))
        batch = Batch(
            images=torch.from_numpy(noise), labels=zero, modality=modality, cameras=zero, view=zero, index=zero
        )
        return self.embed([batch]).embeddings.shape[1]

    def embed(self, batches: Iterable[Batch]) -> EmbeddingTable:
        """See `PixelModel`."""
        embed = self.network.embed
        return extract_features(
            embed if self.description.flips == "none" else with_mirror(embed),
            batches,
            device=self.device,
            autocast=self.autocast,
            prepare=lambda batch: batch.with_images(normalize(batch.images)),
        )
