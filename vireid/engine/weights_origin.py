"""Origin of stored weights: the dataset, the identities and the inputs of their training.

Nothing here raises for a file that is missing or damaged: loading it reports what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from vireid.interop.weights import read_facts, stored_fact

MODEL, META = "model.safetensors", "meta.json"  # files of a checkpoint folder


def weights_place(path: Path) -> Path:
    """The checkpoint folder of its `model.safetensors`, the weights file of a bundle folder, or the path itself."""
    if path.name == MODEL and (path.parent / META).is_file():
        return path.parent
    bundle = path.is_dir() and not (path / META).exists() and (path / MODEL).is_file()
    return path / MODEL if bundle else path


def stored_facts(path: Path) -> dict[str, Any]:
    """Dataset, split and number of identities (`num_ids`) that weights were trained on; empty if they are not stored.

    Args:
        path: A checkpoint folder, a bundle folder or a .safetensors file.
    """
    path = weights_place(path)
    try:
        if path.is_dir():
            return dict(json.loads((path / META).read_text(encoding="utf-8"))["facts"])
        return dict(read_facts(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # loading it reports what is wrong


def stored_ids(path: Path) -> int:
    """Number of training identities of weights (see `stored_facts`); 0 if it is not stored."""
    number = stored_facts(path).get("num_ids", 0)
    return number if isinstance(number, int) else 0


def stored_inputs(path: Path) -> dict[str, Any] | None:
    """`RunInputs.to_json` of the run that wrote a checkpoint folder; None for a file and for an older version."""
    if path.name == MODEL:
        path = path.parent
    try:
        found = json.loads((path / META).read_text(encoding="utf-8")).get("inputs")
    except (OSError, ValueError, AttributeError):
        return None  # loading it reports what is wrong
    return found if isinstance(found, dict) else None


def joined_parts(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """`checkpoint_key` of each dataset that weights were trained on together; empty for a single dataset."""
    parts = facts.get("parts")
    return [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []


def data_text(facts: Mapping[str, Any]) -> str:
    """Describe the dataset or the joined datasets of facts.

    >>> data_text({"data": "RegDB", "split": 3, "num_ids": 206})
    'RegDB, split 3'
    >>> data_text({"data": "JoinedDatasets", "parts": [{"data": "SysuMM01"}, {"data": "RegDB", "split": 1}]})
    'SysuMM01 + RegDB, split 1'
    """
    if parts := joined_parts(facts):
        return " + ".join(map(data_text, parts))
    split = stored_fact(facts, "split")
    return f"{facts.get('data')}{'' if split is None else f', split {split}'}"


def cross_dataset(path: Path, data: Mapping[str, Any], inputs: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Condition of results on another dataset than that of the training; empty if it is the same or not known.

    A dataset of the same class is another one if neither its training listing nor its test listing is that of the
    training: two CSV files, or synthetic and real images in one layout. This is known of checkpoint folders only; of a
    weights file and of an older checkpoint, the class is compared. A part of joined datasets is not another dataset.

    Args:
        path: The weights.
        data: The dataset of the evaluation, such as {"data": "RegDB", "split": 3}.
        inputs: `RunInputs.to_json` of the evaluation; None: compare the classes only.
    """
    facts = stored_facts(path)
    if not facts.get("data"):
        return {}
    if parts := joined_parts(facts):
        same = any(part.get("data") == data.get("data") for part in parts)
        return {} if same else {"cross_dataset": f"trained on {data_text(facts)}"}
    if facts["data"] != data.get("data"):
        return {"cross_dataset": f"trained on {data_text(facts)}"}
    if inputs and _other_images(stored_inputs(path) or {}, inputs):
        return {"cross_dataset": f"trained on other images of {data_text(facts)}"}
    return {}


def _other_images(stored: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether both listings are known and differ; a changed training list or test list alone is the same dataset."""
    training = [(each.get("training") or {}).get("digest") for each in (stored, now)]
    test = [each.get("test_images") for each in (stored, now)]
    return all((*training, *test)) and training[0] != training[1] and test[0] != test[1]


def kept_in_training(
    path: Path, facts: Mapping[str, Any], inputs: Mapping[str, Any] | None = None
) -> Literal["misfit", "all"]:
    """Which identity tensors of a network keep their values when a training starts from weights.

    Args:
        path: The weights.
        facts: Dataset and number of identities of the training.
        inputs: `RunInputs.to_json` of the training.

    Returns:
        "all" if the weights were trained on other identities: another dataset, split or number of identities, or
        another training listing. "misfit" if they were trained on the same ones, or if that is not known.
    """
    stored, listing = stored_facts(path), (stored_inputs(path) or {}).get("training") or {}
    known = "data" in stored and "num_ids" in stored
    differ = known and any(stored_fact(stored, name) != value for name, value in facts.items())
    now = ((inputs or {}).get("training") or {}).get("digest")
    return "all" if differ or (now and listing.get("digest", now) != now) else "misfit"
