"""State dicts of the releases under our names and back, by their layouts and key lists."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import torch
from torch import Tensor

from vireid.core.errors import CheckpointError
from vireid.interop.released.layout import Key, Place, layout_of


@dataclass(frozen=True)
class Release:
    """The tensors of a released network, for the number of identities that it was trained with."""

    model: str
    num_ids: int
    keys: tuple[Key, ...]


@lru_cache
def release(model: str) -> Release:
    """The key list of a released network; ValueError with the known ones for another name."""
    layout = layout_of(model)
    file = files("vireid.interop") / "keys" / f"{layout.keys or model}.json.gz"
    content = json.loads(gzip.decompress(file.read_bytes()))
    keys = [Key(name, tuple(shape), used and not layout.is_dead(name)) for name, shape, used in content["keys"]]
    keys += [Key(name, shape, used=True) for name, shape in layout.also.items()]
    return Release(model, content["num_ids"], tuple(keys))


def to_ours(model: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A released state dict as one for `vireid.create_model`, whatever its number of identities.

    Errors: CheckpointError that lists every tensor which is missing, unknown or of another shape; a tensor that is
    dropped may be missing.
    """
    faults = faults_of(model, tensors)
    if faults:
        raise CheckpointError(f"this is no checkpoint of the released {model!r}:{''.join(faults)}")
    joined: dict[str, dict[int, Tensor]] = defaultdict(dict)
    for key, place in _places(model):
        if key.name in tensors:
            joined[place.name][place.share or 0] = place.form.ours(tensors[key.name])
    ours = {
        name: next(iter(shares.values())) if len(shares) == 1 else torch.cat([shares[i] for i in sorted(shares)])
        for name, shares in joined.items()
    }
    return ours | {name: torch.tensor(values) for name, values in layout_of(model).given.items()}


def to_released(model: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of ours (a state dict, or gradients by parameter name) under the released names, where both have them."""
    counts = Counter(place.name for _, place in _places(model))
    result = {}
    for key, place in _places(model):
        if place.name in tensors:
            whole = tensors[place.name]
            rows = whole if place.share is None else whole.chunk(counts[place.name])[place.share]
            result[key.name] = place.form.back(rows, key.shape[1:])
    return result


def identities(model: str, tensors: Mapping[str, Tensor]) -> int:
    """The number of identities that a released state dict was trained with; most of its classifiers decide.

    An axis counts identities where the key list has one as long as its own number of identities, or twice as long.
    """
    found = release(model)
    counts = Counter(
        tensors[key.name].shape[axis] // factor
        for key in found.keys
        if key.name in tensors and tensors[key.name].dim() == len(key.shape)
        for axis, factor in _identity_axes(key, found.num_ids).items()
    )
    return counts.most_common(1)[0][0] if counts else found.num_ids


def faults_of(model: str, tensors: Mapping[str, Tensor]) -> list[str]:
    """Lines on what keeps tensors from being a checkpoint of the release; none where they are one."""
    layout, num_ids = layout_of(model), identities(model, tensors)
    shapes = {key.name: _shape(key, release(model).num_ids, num_ids) for key in release(model).keys}
    needed = [key.name for key, _ in _places(model) if key.name not in layout.also]
    faults = {
        "missing": [name for name in needed if name not in tensors],
        "unknown": sorted(set(tensors) - set(shapes)),
        "of another shape": [
            f"{name} {tuple(tensors[name].shape)}, there {shape}"
            for name, shape in shapes.items()
            if name in tensors and tuple(tensors[name].shape) != shape
        ],
    }
    return [f"\n    {kind}: {_listed(names)}" for kind, names in faults.items() if names]


def _places(model: str) -> Iterator[tuple[Key, Place]]:
    """Each tensor that ours has too, and where it goes."""
    layout = layout_of(model)
    for key in release(model).keys:
        if key.used and (place := layout.place(key.name)) is not None:
            yield key, place


def _identity_axes(key: Key, num_ids: int) -> dict[int, int]:
    """{axis: entries for each identity}"""
    return {axis: size // num_ids for axis, size in enumerate(key.shape) if size in (num_ids, 2 * num_ids)}


def _shape(key: Key, num_ids: int, actual: int) -> tuple[int, ...]:
    """The shape of the key list, or the one with another number of identities."""
    factors = _identity_axes(key, num_ids)
    return tuple(factors[axis] * actual if axis in factors else size for axis, size in enumerate(key.shape))


def _listed(names: list[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
