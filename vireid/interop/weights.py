"""Weights of a network as one safetensors file with facts about their origin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vireid.core.io import replaced_file

Facts = Mapping[str, str | int]
FACTS = "vireid"  # key in the metadata of the file


def write_weights(path: Path, tensors: Mapping[str, Tensor], facts: Facts) -> None:
    """Write tensors under the names of the network, by an atomic rename.

    Args:
        path: File to write.
        tensors: State dict of the network.
        facts: Origin of the weights, such as {"data": "RegDB", "split": 3, "num_ids": 206}.
    """
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    content = save(plain, {"format": "pt", FACTS: json.dumps(dict(facts), sort_keys=True)})
    with replaced_file(path) as file:
        file.write(content)


def read_facts(path: Path) -> dict[str, str | int]:
    """Read the facts of a weights file; empty if it has none or cannot be read."""
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get(FACTS, "{}"))
    except (OSError, SafetensorError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


_FORMER_NAMES = {"split": "trial"}  # facts that older versions stored under another name


def stored_fact(facts: Mapping[str, Any], name: str) -> Any:
    """Return a stored fact, also under the name that older versions gave it; None if it was not stored.

    Example:
        >>> stored_fact({"data": "RegDB", "trial": 3}, "split")
        3
    """
    return facts.get(name, facts.get(_FORMER_NAMES.get(name, name)))
