"""Key lists of released networks: read a description of a state dict, and pack it for the package."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any


def from_description(content: Mapping[str, Any], num_ids: int | None = None) -> dict[str, Any]:
    """Convert a description of a state dict to a key list.

    A key list holds the number of identities, and [name, shape, used] of each tensor in the order of the description.

    Raises:
        KeyError: If the description lacks the tensors or, without `num_ids`, the number of identities.
    """
    entries = content["keys"] if "keys" in content else content["entries"]
    rows = [[entry["key"], [int(size) for size in entry["shape"]], bool(entry.get("used", True))] for entry in entries]
    return {"num_ids": content["n_class"] if num_ids is None else num_ids, "keys": rows}


def packed(content: Mapping[str, Any]) -> bytes:
    """Compress a list; the same content gives the same bytes."""
    return gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0)
