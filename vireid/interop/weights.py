"""A network's weights as one safetensors file that says what it belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vireid.core.io import replaced_file

Facts = Mapping[str, str | int]
FACTS = "vireid"  # the entry of the file's metadata


def write_weights(path: Path, tensors: Mapping[str, Tensor], facts: Facts) -> None:
    """Write tensors under the names of our network; the file is whole or not there.

    `facts`: what the weights belong to, such as {"data": "RegDB", "trial": 3, "num_ids": 206}.
    """
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    content = save(plain, {"format": "pt", FACTS: json.dumps(dict(facts), sort_keys=True)})
    with replaced_file(path) as file:
        file.write(content)


def read_facts(path: Path) -> dict[str, str | int]:
    """What a file of weights says that it belongs to; empty where it says nothing or cannot be read."""
    try:
        with safe_open(str(path), framework="pt") as file:
            found = json.loads((file.metadata() or {}).get(FACTS, "{}"))
    except (OSError, SafetensorError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
