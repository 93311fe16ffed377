"""Description of a trained model: everything that an embedder needs besides the weights, and what is known of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from vireid.core.identity_tensors import identity_tensors
from vireid.core.types import DatasetInfo
from vireid.data.images.depth import DepthMapping, depth_mapping
from vireid.evaluation.open_set.decision import DecisionRule


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """Description of a trained model.

    Attributes:
        model: Settings of the network (`config.network.model_tree`).
        info: Numbers of the training dataset.
        size: (H, W) of the images.
        depth: DATA.DEPTH.
        flips: FLIP_TEST: "none", or the embeddings of an image and of its mirror image are added.
        precision: PRECISION of the run.
        training: What the weights were trained on: data, split, num_ids, checkpoint, seed, listing.
        decision: Thresholds and calibration (`vireid threshold`); None if they were not chosen for these weights.
        metrics: Protocol -> {"mean": scores in [0, 1], "spread": ..., "conditions": ...}; empty if not evaluated.
    """

    model: Mapping[str, Any]
    info: DatasetInfo
    size: tuple[int, int]
    depth: Mapping[str, Any] | None = None
    flips: str = "none"
    precision: str = "auto"
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    decision: DecisionRule | None = None

    @property
    def embedding(self) -> tuple[str, ...]:
        """Fields that form the embedding."""
        return tuple(self.model["MODEL"]["EMBEDDING"])

    def depth_mapping(self) -> DepthMapping | None:
        """The conversion of gray images of more than 8 bits; None: they are refused."""
        return depth_mapping(self.depth)

    def fingerprint(self, network: nn.Module) -> str:
        """SHA-256 of everything that decides an embedding: the weights without identity tensors, and pre-processing."""
        decides = (self.size, self.embedding, str(self.depth_mapping()), self.flips)
        total = hashlib.sha256(repr(decides).encode())
        ignored = identity_tensors(network)
        for name, value in sorted(network.state_dict().items()):
            if name not in ignored:
                total.update(name.encode())
                total.update(value.detach().cpu().contiguous().numpy().tobytes())
        return total.hexdigest()
