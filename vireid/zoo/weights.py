"""Which shipped configs have trained weights, in a folder or on a hub."""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vireid.config.check import load_checked
from vireid.config.load import Config, read_unchecked
from vireid.config.network import model_tree
from vireid.config.show import resolved_tree
from vireid.core.errors import UserError
from vireid.core.paths import normalized_path
from vireid.engine.checkpoint import CheckpointFolder
from vireid.engine.weights_origin import stored_facts
from vireid.interop.hub import Hub, HubReference, hub_owner, is_hub_reference
from vireid.runs.bundle_folder import CONFIG, MODEL, read_config
from vireid.runs.folder import RunFolder
from vireid.zoo.configs import config_names, config_path


@dataclass(frozen=True)
class ModelWeights:
    """Trained weights of a model.

    Attributes:
        path: What `vireid.load` takes: a run folder, a bundle folder or "hf://OWNER/NAME".
        name: The path without the folder, or without "hf://", that was searched in.
        kind: "run", "bundle" or "hub".
        configs: Shipped configs that the run agrees with in the class of the dataset, MODEL and OBJECTIVE, with all
            defaults. Empty for another config, and for a bundle that does not state it.
        data: Dataset of the training; "" if it is not stated.
        license: License of the weights; None if it is not stated.
        problem: Why the weights cannot be described; "" if they can.
    """

    path: str
    name: str
    kind: str
    configs: tuple[str, ...] = ()
    data: str = ""
    license: str | None = None
    problem: str = ""

    def matches(self, pattern: str) -> bool:
        """Whether a pattern with * and ? matches the name or one of the configs."""
        return any(fnmatch.fnmatchcase(name, pattern) for name in (self.name, *self.configs))


def find_weights(place: str | Path) -> list[ModelWeights]:
    """Return the trained models below a folder, or of an owner on a hub, sorted by name.

    Args:
        place: A folder, which is searched for run folders with a checkpoint and for bundles, or "hf://OWNER".

    Raises:
        UserError: If the folder does not exist or the hub cannot be reached.
    """
    if is_hub_reference(place):
        return list(_on_hub(hub_owner(place)))
    root = normalized_path(place)
    if not root.is_dir():
        raise UserError(f"{root}: is not a folder; name a folder of runs or bundles, or hf://OWNER")
    return sorted((_in_folder(root, folder) for folder in _model_folders(root)), key=lambda found: found.name)


def shipped_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the shipped configs that a resolved config agrees with.

    Compared are DATA.NAME, MODEL without stored weights, and OBJECTIVE, each with all defaults. Other settings, such as
    SOLVER and SAMPLER, may differ.

    Args:
        config: The tree of `config.yml` of a run.
    """
    return tuple(name for name in config_names() if _outline(_raw(name)) == _outline(config) and _agrees(name, config))


def _agrees(name: str, config: Mapping[str, Any]) -> bool:
    model, objective, stored_weights = _resolved(name)
    backbone = {**_part(config, "MODEL", "BACKBONE"), **stored_weights}
    return (_text({**_part(config, "MODEL"), "BACKBONE": backbone}), _text(_part(config, "OBJECTIVE"))) == (
        model,
        objective,
    )


@cache
def _raw(name: str) -> Config:
    return read_unchecked(config_path(name))


@cache
def _resolved(name: str) -> tuple[str, str, dict[str, Any]]:
    """MODEL and OBJECTIVE of a shipped config with all defaults, and the settings of a backbone without weights."""
    checked = load_checked(config_path(name))
    backbone = checked.components.required("MODEL.BACKBONE").entry.target
    stored_weights = {key.upper(): value for key, value in getattr(backbone, "without_weights", {}).items()}
    return _text(model_tree(checked)["MODEL"]), _text(resolved_tree(checked)["OBJECTIVE"]), stored_weights


def _outline(config: Mapping[str, Any]) -> tuple[object, ...]:
    """What can be compared before defaults are filled in."""
    data, backbone = _part(config, "DATA"), _part(config, "MODEL", "BACKBONE")
    terms = {name: value for name, value in _part(config, "OBJECTIVE").items() if isinstance(value, Mapping)}
    return (
        data.get("NAME"),
        (backbone.get("NAME"), backbone.get("ARCH")),
        sorted(name for name, value in terms.items() if value.get("NAME") != "none"),
    )


def _part(config: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        found = config.get(key)
        config = found if isinstance(found, Mapping) else {}
    return config


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _model_folders(root: Path) -> Iterator[Path]:
    """Yield the run folders with a checkpoint and the bundle folders; nothing below them is searched."""
    for folder, names, files in os.walk(root):
        path = Path(folder)
        bundle = CONFIG in files and MODEL in files
        run = RunFolder(path).config.name in files and CheckpointFolder(RunFolder(path).checkpoints).epochs()
        if bundle or run:
            yield path
            names.clear()
        names[:] = [name for name in names if not name.startswith(".")]


def _in_folder(root: Path, folder: Path) -> ModelWeights:
    name = folder.relative_to(root).as_posix() if folder != root else root.name
    if (folder / CONFIG).is_file():
        return _of_bundle(folder, path=str(folder), name=name, kind="bundle")
    run, checkpoints = RunFolder(folder), CheckpointFolder(RunFolder(folder).checkpoints)
    try:
        configs = shipped_names(read_unchecked(run.config))
    except UserError as error:
        return ModelWeights(str(folder), name, "run", problem=str(error))
    data = stored_facts(checkpoints.path(checkpoints.epochs()[-1])).get("data")
    return ModelWeights(str(folder), name, "run", configs, str(data or ""))


def _on_hub(owner: str) -> Iterator[ModelWeights]:
    hub = Hub()
    for repo in hub.models(owner):
        path, name = f"hf://{repo}", repo.partition("/")[2]
        try:
            folder = hub.download(HubReference(repo), [CONFIG])
        except UserError as error:
            yield ModelWeights(path, name, "hub", problem=str(error))
            continue
        yield _of_bundle(folder, path=path, name=name, kind="hub")


def _of_bundle(folder: Path, *, path: str, name: str, kind: str) -> ModelWeights:
    try:
        content = read_config(folder)
        training, license = content["training"], content["license"]
        configs = tuple(str(each) for each in training.get("configs", ()))
        return ModelWeights(path, name, kind, configs, str(training.get("data") or ""), license)
    except UserError as error:
        return ModelWeights(path, name, kind, problem=str(error))
    except (KeyError, TypeError, AttributeError) as error:
        return ModelWeights(
            path, name, kind, problem=f"{folder / CONFIG}: is damaged ({type(error).__name__}: {error})"
        )
