"""From a file of a released code to one that `WEIGHTS` takes."""

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
from vireid.interop.released.layout import LAYOUTS
from vireid.interop.weights import write_weights


@dataclass(frozen=True)
class DataSet:
    """A data set of the releases: its name in configs, the folder of its compositions, and whether it has trials."""

    name: str
    folder: str
    num_ids: int  # in training
    trials: int = 0


DATA_SETS = (DataSet("SysuMM01", "sysu", 395), DataSet("RegDB", "regdb", 206, trials=10), DataSet("LLCM", "llcm", 713))


@dataclass(frozen=True)
class Converted:
    """What was found in a released file, and what was written."""

    model: str
    facts: Mapping[str, str | int]
    tensors: int
    dropped: int
    composition: str | None  # the shipped config of its method and data set: "regdb/agw"
    changes: str = ""  # what was done to the file's names, in words


def families() -> list[str]:
    """The names of releases that `convert_file` takes."""
    return list(dict.fromkeys(layout.family or layout.model for layout in LAYOUTS.values()))


def convert_file(
    family: str, source: Path, target: Path, *, data: str | None = None, trial: int | None = None
) -> Converted:
    """Read a released checkpoint, write its weights under our names with what they belong to.

    `data`: the data set it was trained on; unless given, its number of identities says so. `trial`: the split of RegDB
    it was trained on; a model of another one has seen the test people of this one.
    Errors: CheckpointError with everything that does not fit; UserError for a data set or trial that cannot be.
    Nothing is written then, and no code in the file is run.
    """
    model, tensors, changes = _fitting(family, source)
    num_ids = identities(model, tensors)
    chosen = _data_set(data, num_ids)
    facts = {"data": chosen.name, "num_ids": num_ids, **_trial(chosen, trial)}
    facts |= {"release": model, "source": source.name, "source_sha256": digest(source)}
    ours = to_ours(model, tensors)
    broken = [name for name, value in ours.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if broken:
        raise CheckpointError(f"{source}: NaN or infinite numbers in {', '.join(broken[:8])}")
    ours = {name: value.float() if value.is_floating_point() else value for name, value in ours.items()}
    write_weights(target, ours, facts)
    config = LAYOUTS[model].config
    composition = config and (config if "/" in config else f"{chosen.folder}/{config}")
    return Converted(model, facts, len(ours), _dropped(model, tensors), composition, changes)


def _fitting(family: str, source: Path) -> tuple[str, dict[str, Tensor], str]:
    """The release of the family and the mapping of the file that fit, and what was done to its names.

    Raises CheckpointError with the faults of the closest where none fits.
    """
    models = [layout.model for layout in LAYOUTS.values() if family in (layout.family or layout.model, layout.model)]
    if not models:
        raise UserError(f"no release is called {family!r}{nearest(family, families())} ({', '.join(families())})")
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
    raise CheckpointError(f"{source}: no checkpoint of the released {model!r}:{hint or faults}")


def _fits(model: str, candidates: list[NamedTensors], known: set[str]) -> bool:
    return not faults_of(model, best_mapping(candidates, known)[0].tensors)


def _data_set(name: str | None, num_ids: int) -> DataSet:
    for data in DATA_SETS:
        if name == data.name or (name is None and num_ids == data.num_ids):
            return data
    names = [data.name for data in DATA_SETS]
    if name is not None:
        raise UserError(f"no released model was trained on {name!r}{nearest(name, names)} (known: {', '.join(names)})")
    counts = ", ".join(f"{data.num_ids} of {data.name}" for data in DATA_SETS)
    raise UserError(f"trained on {num_ids} identities, which is none of {counts}: say with --data which data set it is")


def _trial(data: DataSet, trial: int | None) -> dict[str, int]:
    if not data.trials:
        if trial is not None:
            raise UserError(f"{data.name} has one split of people; --trial is for RegDB")
        return {}
    if trial is None:
        raise UserError(
            f"a model of {data.name} belongs to one of its {data.trials} splits and has seen the test people of the "
            "others: say with --trial which one it was trained on"
        )
    if not 1 <= trial <= data.trials:
        raise UserError(f"--trial must be between 1 and {data.trials}, got {trial}")
    return {"trial": trial}


def _dropped(model: str, tensors: Mapping[str, Tensor]) -> int:
    layout = LAYOUTS[model]
    kept = {key.name for key in release(model).keys if key.used and layout.place(key.name) is not None}
    return len(set(tensors) - kept)
