"""The shipped configs as a Python catalogue: `list_models("*agw*")`, `create_model("sysu/agw", num_ids=395)`."""

from __future__ import annotations

import dataclasses
import fnmatch
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vireid.config.build import Build
from vireid.config.check import load_checked
from vireid.core.errors import ArgumentError, UserError, nearest
from vireid.core.weight_files import read_safetensors
from vireid.models.cross_modality_net import CrossModalityNet

PARTS = frozenset({"datasets", "methods", "plugins"})  # folders of files that are parts of compositions
DEFAULT = "sysu"  # the data set of a bare method name


def config_folder() -> Path:
    """Where the shipped configs are: in the installed package, or beside it in a checkout."""
    spec = importlib.util.find_spec("vireid.configs")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if Path(place).is_dir():
            return Path(place)
    checkout = Path(__file__).resolve().parents[2] / "configs"
    if checkout.is_dir():
        return checkout
    raise UserError(f"the configs of vireid are neither installed with it nor at {checkout}; install vireid again")


def list_models(pattern: str = "*") -> list[str]:
    """Names of the shipped compositions that fit a pattern with * and ?, sorted.

    >>> list_models("sysu/agw*")
    ['sysu/agw', 'sysu/agw_pae_aal']
    """
    folder = config_folder()
    names = (path.relative_to(folder) for path in folder.glob("*/*.yml"))
    known = sorted(str(name.with_suffix("").as_posix()) for name in names if name.parts[0] not in PARTS)
    return fnmatch.filter(known, pattern)


def config_path(name: str) -> Path:
    """The file of a composition: "<data set>/<method>", or a method alone for SYSU-MM01.

    UserError with the nearest names for one that is not there.
    """
    known = list_models()
    whole = name if "/" in name else f"{DEFAULT}/{name}"
    if whole not in known:
        methods = [each.removeprefix(f"{DEFAULT}/") for each in known]
        raise UserError(f"no model is named {name!r}{nearest(name, [*known, *methods])} (known: {', '.join(known)})")
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
    """The network of a composition, on the CPU.

    `num_ids` identities to classify (those of the data set unless given); `arch` another timm network; `pretrained`
    ImageNet weights of timm, `weights` a local file of them instead, in timm's or torchvision's names; `overrides` any
    other key of the config, such as {"MODEL.BACKBONE.LAST_STRIDE": 2}.
    Errors: UserError for a name that is not there, ConfigError for values that the config refuses.
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
    """Why a .safetensors file does not fit the network of a composition on its own data set; "" where it fits."""
    build = Build(load_checked(config_path(name), {"MODEL.BACKBONE.PRETRAINED": False}))
    with torch.device("meta"):
        own = build.model(weights=False).state_dict()
    saved = read_safetensors(weights)
    if missing := [key for key in own if key not in saved]:
        return f"the network also has {missing[0]} ({len(missing)} such tensors)"
    for key, value in saved.items():
        if key not in own:
            return f"the network has no {key}"
        if value.shape != own[key].shape:
            return (
                f"{key} is {tuple(value.shape)}, the network of {build.config.DATA.NAME} wants {tuple(own[key].shape)}"
            )
    return ""
