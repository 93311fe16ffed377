"""Bundle: a trained model as a folder that can be shared, in the layout of the Hugging Face hub.

- `model.safetensors`: the weights without identity tensors (`core.identity_tensors`).
- `config.json`: settings of the network, pre-processing, training facts, metrics with conditions, fingerprint, license.
- `README.md`: a model card generated from these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vireid
from vireid.config.network import build_network
from vireid.core.errors import CheckpointError, DataError, UserError
from vireid.core.identity_tensors import identity_tensors
from vireid.core.io import replaced_folder
from vireid.core.types import DatasetInfo
from vireid.data.augment.pixels import IMAGENET_MEAN, IMAGENET_STD
from vireid.embedder.description import ModelDescription
from vireid.embedder.model_card import PLACE, model_card
from vireid.engine.checkpoint import load_weights
from vireid.evaluation.open_set.decision import DecisionRule
from vireid.interop.weights import write_weights
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.runs.bundle_folder import CARD, CONFIG, FORMAT, MODEL, read_config

if TYPE_CHECKING:
    from vireid.embedder.embedder import Embedder

NORMALIZATION = {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}
# entries of "training" that a checkpoint does not have to agree in
_NO_FACTS = ("checkpoint", "seed", "listing", "configs", "name")
_NUMBERS = {"identities": "num_ids", "cameras": "num_cameras", "attributes": "num_attributes"}


def write_bundle(embedder: Embedder, folder: Path, *, license: str | None, place: str = PLACE) -> None:
    """Write a bundle, by an atomic rename.

    Args:
        embedder: The model.
        folder: Folder to write; an existing one is replaced.
        license: License of the weights; None: not stated.
        place: What the model card passes to `vireid.load`.
    """
    network, described = embedder.network, embedder.description
    content = {"format": FORMAT, **model_content(embedder, license=license)}
    ignored = identity_tensors(network)
    tensors = {name: value for name, value in network.state_dict().items() if name not in ignored}
    facts = {name: value for name, value in described.training.items() if name not in _NO_FACTS}
    with replaced_folder(folder) as aside:
        write_weights(aside / MODEL, tensors, facts)
        (aside / CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        (aside / CARD).write_text(model_card(content, place), encoding="utf-8")


def model_content(embedder: Embedder, *, license: str | None) -> dict[str, Any]:
    """Everything that is known of a model, as JSON values; `description_of` reads it."""
    described = embedder.description
    return {
        "library": "vireid",
        "version": vireid.__version__,
        "model": dict(described.model),
        "preprocessing": {
            "size": list(described.size),
            "resize": "lanczos",
            "normalization": NORMALIZATION,
            "depth": described.depth,
            "flips": described.flips,
        },
        "precision": described.precision,
        "dataset": {name: getattr(described.info, attribute) for name, attribute in _NUMBERS.items()},
        "embedding": {"fields": list(described.embedding), "width": embedder.width},
        "fingerprint": embedder.fingerprint,
        "training": dict(described.training),
        "metrics": dict(described.metrics),
        "decision": None if described.decision is None else described.decision.to_json(),
        "license": license,
    }


def read_bundle(folder: Path) -> tuple[CrossModalityNet, ModelDescription, dict[str, Any]]:
    """Read a bundle: the network on the CPU, its description and the content of `config.json`.

    Raises:
        UserError: If `config.json` is damaged or of another format.
        ConfigError: If the settings of the network cannot be built by this version.
        CheckpointError: If the weights are missing, damaged, or do not fit.
    """
    content = read_config(folder)
    described = description_of(folder / CONFIG, content)
    network = build_network({**described.model, "SIZE": list(described.size)}, described.info)
    weights = folder / MODEL
    if not weights.is_file():
        raise CheckpointError(f"{weights}: does not exist; copy the bundle again")
    load_weights(network, weights, kept="all")
    network.eval()
    if described.fingerprint(network) != content["fingerprint"]:
        raise CheckpointError(
            f"{folder}: the fingerprint of weights and pre-processing is not that of {CONFIG}; one of the files was"
            " changed: copy the bundle again"
        )
    return network, described, content


def description_of(place: Path, content: Mapping[str, Any]) -> ModelDescription:
    """Read the values of `model_content`; UserError if they are damaged. `place` is the file that holds them."""
    try:
        before = content["preprocessing"]
        numbers = {attribute: int(content["dataset"][name]) for name, attribute in _NUMBERS.items()}
        height, width = map(int, before["size"])
        if before["normalization"] != NORMALIZATION or before["resize"] != "lanczos":
            raise ValueError("another normalization or interpolation than this version computes")
        described = ModelDescription(
            model={"IMPORTS": list(content["model"]["IMPORTS"]), "MODEL": dict(content["model"]["MODEL"])},
            info=replace(DatasetInfo(), **numbers),
            size=(height, width),
            depth=before["depth"],
            flips=str(before["flips"]),
            precision=str(content["precision"]),
            training=dict(content["training"]),
            metrics=dict(content["metrics"]),
            decision=None if content["decision"] is None else DecisionRule.from_json(content["decision"]),
        )
        described.depth_mapping()
        _ = described.embedding, content["fingerprint"], content["license"]
    except (KeyError, TypeError, ValueError, AttributeError, DataError) as error:
        words = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{place}: is damaged: {words}; copy the file or the bundle again") from error
    return described
