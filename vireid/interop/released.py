"""State dicts of the released codes under the names of ours.

The released networks keep three whole ResNets where parts of each are used; what never takes part in a forward pass is
dropped. Their key lists lie beside this file (`keys/*.json.gz`): every tensor of a release with its shape, and whether
it is used.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import torch
from torch import Tensor

from vireid.core.errors import CheckpointError, nearest

MODELS = ("agw", "agw_base", "hct", "hct_parts", "mmd")
CONFIGS = {"agw": "agw", "agw_base": "baseline", "hct_parts": "hct", "mmd": "mmd"}  # the method that each one is here


@dataclass(frozen=True)
class Key:
    """One tensor of a released checkpoint."""

    name: str
    shape: tuple[int, ...]
    used: bool  # in a forward pass


@dataclass(frozen=True)
class Release:
    """The tensors of a released network, for the number of identities that it was trained with."""

    model: str
    num_ids: int
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class Place:
    """Where a released tensor goes: a tensor of ours, or the rows of one that joins several."""

    name: str
    part: int | None = None  # which share of the rows (axis 0); None: the whole tensor


@lru_cache
def release(model: str) -> Release:
    """The key list of a released network; ValueError with the known ones for another name."""
    if model not in MODELS:
        known = f"{nearest(model, MODELS)} (known: {', '.join(MODELS)})"
        raise ValueError(f"no released network is called {model!r}{known}")
    text = gzip.decompress((files("vireid.interop") / "keys" / f"{model}.json.gz").read_bytes())
    content = json.loads(text)
    keys = tuple(Key(name, tuple(shape), used) for name, shape, used in content["keys"])
    return Release(model, content["num_ids"], keys)


def to_ours(model: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A released state dict as one for `vireid.create_model`, whatever its number of identities.

    Errors: CheckpointError that lists every tensor which is missing, unknown or of another shape; a tensor that the
    release itself never uses may be missing.
    """
    found = release(model)
    _check(found, tensors)
    shares: dict[str, dict[int, Tensor]] = defaultdict(dict)
    for key, place in _places(found):
        shares[place.name][place.part or 0] = _rows(tensors[key.name], place)
    return {
        name: next(iter(parts.values())) if len(parts) == 1 else torch.cat([parts[i] for i in sorted(parts)])
        for name, parts in shares.items()
    }


def to_released(model: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of ours (a state dict, or gradients by parameter name) under the released names, where both have them."""
    found = release(model)
    counts: dict[str, int] = defaultdict(int)
    for _, place in _places(found):
        counts[place.name] += 1
    result = {}
    for key, place in _places(found):
        if place.name in tensors:
            whole = tensors[place.name]
            rows = whole if place.part is None else whole.chunk(counts[place.name])[place.part]
            result[key.name] = rows if place.part is None else rows.reshape(-1, *key.shape[1:])
    return result


_STREAMS = {"visible_module.visible": "visible", "thermal_module.thermal": "infrared", "base_resnet.base": "shared"}
_INNER = {"theta": 0, "phi": 1, "g.0": 2}  # the outputs of our one convolution


def _places(found: Release) -> Iterator[tuple[Key, Place]]:
    """Each used tensor and where it goes."""
    after = _blocks_before_inserts(found)
    for key in found.keys:
        if key.used:
            place = _place(key.name, after)
            if place is not None:
                yield key, place


def _blocks_before_inserts(found: Release) -> dict[tuple[str, str], int]:
    """{(stage, number of a non-local block): the block it follows}: the last ones of the stage."""
    blocks: dict[str, set[int]] = defaultdict(set)
    inserts: dict[str, set[int]] = defaultdict(set)
    for key in found.keys:
        if match := re.match(r"base_resnet\.base\.layer(\d)\.(\d+)\.", key.name):
            blocks[match[1]].add(int(match[2]))
        if match := re.match(r"NL_(\d)\.(\d+)\.", key.name):
            inserts[match[1]].add(int(match[2]))
    return {
        (stage, str(number)): len(blocks[stage]) - len(numbers) + number
        for stage, numbers in inserts.items()
        for number in numbers
    }


def _place(name: str, after: Mapping[tuple[str, str], int]) -> Place | None:
    """None for what ours keeps once where the release keeps it for each part (counters of batches)."""
    for prefix, stream in _STREAMS.items():
        if name.startswith(f"{prefix}."):
            rest = name.removeprefix(f"{prefix}.")
            unit = re.sub(r"^layer(\d)\.", r"stage\1.", rest) if rest.startswith("layer") else f"stem.{rest}"
            return Place(f"backbone.{stream}.{unit}")
    if match := re.fullmatch(r"NL_(\d)\.(\d+)\.(.+)\.(\w+)", name):
        stage, number, layer, kind = match.groups()
        block = f"backbone.shared.stage{stage}.{after[stage, number]}_insert"
        if layer in _INNER:
            return Place(f"{block}.inner.{kind}", _INNER[layer])
        return Place(f"{block}.{'project' if layer == 'W.0' else 'norm'}.{kind}")
    if match := re.fullmatch(r"local_conv_list\.(\d+)\.(\d)\.(\w+)", name):
        part, layer, kind = match.groups()
        if kind == "num_batches_tracked":
            return Place(f"heads.parts.norm.{kind}") if part == "0" else None
        return Place(f"heads.parts.{'norm' if layer == '1' else 'project'}.{kind}", int(part))
    if match := re.fullmatch(r"fc_list\.(\d+)\.(\w+)", name):
        return Place(f"heads.parts.classifier.{match[2]}", int(match[1]))
    if match := re.fullmatch(r"(bottleneck|classifier)\.(\w+)", name):
        return Place(f"heads.id.{'neck' if match[1] == 'bottleneck' else 'classifier'}.{match[2]}")
    raise AssertionError(f"{name} of a released network has no place here")


def _rows(tensor: Tensor, place: Place) -> Tensor:
    """A released tensor as the rows that it becomes in a joined one."""
    if place.part is None or place.name.endswith((".inner.weight", ".inner.bias")) or ".norm." in place.name:
        return tensor
    return (tensor.flatten(1) if tensor.dim() == 4 else tensor).unsqueeze(0)  # one layer of several


def _check(found: Release, tensors: Mapping[str, Tensor]) -> None:
    classes = {count for key in found.keys if (count := _classes(key, tensors)) is not None}
    expected = {key.name: (_expected(key, found.num_ids, classes), key.used) for key in found.keys}
    faults = {
        "missing": [name for name, (_, used) in expected.items() if used and name not in tensors],
        "unknown": sorted(set(tensors) - set(expected)),
        "of another shape": [
            f"{name} {tuple(tensors[name].shape)}, there {shape}"
            for name, (shape, _) in expected.items()
            if name in tensors and tuple(tensors[name].shape) != shape
        ],
    }
    if any(faults.values()):
        texts = [f"\n    {kind}: {_listed(names)}" for kind, names in faults.items() if names]
        raise CheckpointError(f"this is no checkpoint of the released {found.model!r}:{''.join(texts)}")


_CLASSIFIERS = re.compile(r"classifier\.weight|fc_list\.\d+\.(weight|bias)")


def _classes(key: Key, tensors: Mapping[str, Tensor]) -> int | None:
    return tensors[key.name].shape[0] if key.name in tensors and _CLASSIFIERS.fullmatch(key.name) else None


def _expected(key: Key, num_ids: int, classes: set[int]) -> tuple[int, ...]:
    """The shape with the number of identities of this checkpoint, if all its classifiers agree on one."""
    if _CLASSIFIERS.fullmatch(key.name) and len(classes) == 1:
        assert key.shape[0] == num_ids
        return (*classes, *key.shape[1:])
    return key.shape


def _listed(names: list[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
