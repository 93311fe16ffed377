"""Named models of the shipped configs: `list_models("*agw*")`, `create_model("sysu/agw", num_ids=395)`."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vireid.config.build import Build
from vireid.config.check import load_checked
from vireid.core.errors import ArgumentError, UserError, nearest
from vireid.core.weight_files import read_safetensors
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.zoo.shipped import CONFIGS, shipped_path

PARTS = frozenset({"datasets", "methods", "plugins"})  # folders of configs that are not complete
DEFAULT = "sysu"  # dataset of a name without one


def config_folder() -> Path:
    """Return the folder of the shipped configs."""
    return shipped_path(CONFIGS)


def list_models(pattern: str = "*") -> list[str]:
    """Return the names of the shipped models that match a pattern with * and ?, sorted.

    Example:
        >>> list_models("sysu/agw*")
        ['sysu/agw', 'sysu/agw_pae_aal']
    """
    folder = config_folder()
    names = (path.relative_to(folder) for path in folder.glob("*/*.yml"))
    known = sorted(str(name.with_suffix("").as_posix()) for name in names if name.parts[0] not in PARTS)
    return fnmatch.filter(known, pattern)


def config_path(name: str) -> Path:
    """Return the config file of a model.

    Args:
        name: "DATASET/METHOD", or "METHOD" for SYSU-MM01.

    Raises:
        UserError: If the model does not exist; the text has the nearest name.
    """
    known = list_models()
    whole = name if "/" in name else f"{DEFAULT}/{name}"
    if whole not in known:
        methods = [each.removeprefix(f"{DEFAULT}/") for each in known]
        raise UserError(f"model {name!r} does not exist{nearest(name, [*known, *methods])} (known: {', '.join(known)})")
    return config_folder() / f"{whole}.yml"


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
