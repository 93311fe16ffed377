"""Named models of the shipped configs: `list_models("*agw*")`, `create_model("sysu/agw", num_ids=395)`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, overload

import torch

from vireid.config.build import Build
from vireid.config.check import load_checked
from vireid.core.errors import ArgumentError
from vireid.core.weight_files import read_safetensors
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.zoo.configs import config_names, config_path
from vireid.zoo.weights import ModelWeights, find_weights


@overload
def list_models(pattern: str = ..., *, weights: None = ...) -> list[str]: ...


@overload
def list_models(pattern: str = ..., *, weights: str | Path) -> list[ModelWeights]: ...


def list_models(pattern: str = "*", *, weights: str | Path | None = None) -> list[str] | list[ModelWeights]:
    """Return the names of the shipped models, or the trained models in a folder or on a hub.

    Args:
        pattern: Pattern with * and ?. It is compared with the name of a shipped model; with `weights`, it has to match
            a name in `ModelWeights.configs`, or `ModelWeights.name`: the path in the folder, or NAME of OWNER/NAME.
        weights: None: names of the shipped models, with or without trained weights. A folder: the run folders with a
            checkpoint and the bundles below it. "hf://OWNER": the vireid models of a user or an organization on a hub;
            of each the file `config.json` is downloaded.

    Returns:
        Sorted names, or one `ModelWeights` for each model, sorted by name. A model that cannot be read is in the list,
        with its `problem`.

    Raises:
        UserError: If the folder does not exist or the hub cannot be reached.

    Example:
        >>> list_models("sysu/agw*")
        ['sysu/agw', 'sysu/agw_pae_aal']
    """
    if weights is None:
        return config_names(pattern)
    return [found for found in find_weights(weights) if found.matches(pattern)]


def create_model(
    name: str,
    *,
    num_ids: int | None = None,
    arch: str | None = None,
    pretrained: bool = False,
    weights: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> CrossModalityNet:
    """Build the network of a shipped config on the CPU.

    Args:
        name: "DATASET/METHOD", or "METHOD" for SYSU-MM01; see `list_models`.
        num_ids: Number of identities of the classifiers; that of the dataset if None.
        arch: Name of another timm network.
        pretrained: Load the ImageNet weights of timm.
        weights: Local file with backbone weights, with the names of timm or torchvision.
        overrides: Other keys of the config, such as {"MODEL.BACKBONE.LAST_STRIDE": 2}.

    Raises:
        UserError: If the model does not exist.
        ConfigError: With all problems of the overrides.
    """
    changes = dict(overrides or {})
    changes["MODEL.BACKBONE.PRETRAINED"] = pretrained
    if arch is not None:
        changes["MODEL.BACKBONE.ARCH"] = arch
    if weights is not None:
        changes["MODEL.BACKBONE.WEIGHTS"] = str(weights)
    if num_ids is not None and num_ids < 1:
        raise ArgumentError("num_ids", f"must be at least 1, got {num_ids}")
    build = Build(load_checked(config_path(name), changes))
    if num_ids is not None:
        build = build.with_info(dataclasses.replace(build.info, num_ids=num_ids))
    return build.model()


def misfit(name: str, weights: Path) -> str:
    """Return why a .safetensors file does not fit the network of a model on its dataset; "" if it fits."""
    build = Build(load_checked(config_path(name), {"MODEL.BACKBONE.PRETRAINED": False}))
    with torch.device("meta"):
        expected = build.model(weights=False).state_dict()
    saved = read_safetensors(weights)
    if missing := [key for key in expected if key not in saved]:
        return f"the network also has {missing[0]} ({len(missing)} such tensors)"
    for key, value in saved.items():
        if key not in expected:
            return f"the network has no {key}"
        if value.shape != expected[key].shape:
            shape = tuple(expected[key].shape)
            return f"{key} is {tuple(value.shape)}, the network of {build.config.DATA.NAME} has {shape}"
    return ""
