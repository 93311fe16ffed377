"""Convert state dicts between the released codes and this package, by layouts and key lists."""

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
    """The tensors of a released network, for the number of identities that it was trained on."""

    model: str
    num_ids: int
    keys: tuple[Key, ...]


@lru_cache
def release(model: str) -> Release:
    """Return the key list of a released network; ValueError with the known names for another name."""
    layout = layout_of(model)
    file = files("vireid.interop") / "keys" / f"{layout.keys or model}.json.gz"
    content = json.loads(gzip.decompress(file.read_bytes()))
    keys = [Key(name, tuple(shape), used and not layout.is_dead(name)) for name, shape, used in content["keys"]]
    keys += [Key(name, shape, used=True) for name, shape in layout.also.items()]
    return Release(model, content["num_ids"], tuple(keys))


def to_ours(model: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a released state dict, of any number of identities, to one for `vireid.create_model`.

    Raises:
        CheckpointError: With every tensor that is missing, unknown or of another shape. A tensor that the conversion
            drops may be missing.
    """
    faults = faults_of(model, tensors)
    if faults:
        raise CheckpointError(f"not a checkpoint of the released {model!r}:{''.join(faults)}")
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
    """Convert a state dict, or gradients by parameter name, to the released names, for tensors that both have."""
    counts = Counter(place.name for _, place in _places(model))
    result = {}
    for key, place in _places(model):
        if place.name in tensors:
            tensor = tensors[place.name]
            rows = tensor if place.share is None else tensor.chunk(counts[place.name])[place.share]
            result[key.name] = place.form.back(rows, key.shape[1:])
    return result


def identities(model: str, tensors: Mapping[str, Tensor]) -> int:
    """Infer the number of identities that a released state dict was trained on, by majority of its classifiers.

    An axis counts identities if its length in the key list is the number of identities of the list, or twice that.
    """
    released = release(model)
    counts = Counter(
        tensors[key.name].shape[axis] // factor
        for key in released.keys
        if key.name in tensors and tensors[key.name].dim() == len(key.shape)
        for axis, factor in _identity_axes(key, released.num_ids).items()
    )
    return counts.most_common(1)[0][0] if counts else released.num_ids


def faults_of(model: str, tensors: Mapping[str, Tensor]) -> list[str]:
    """List what keeps tensors from being a checkpoint of the release, in lines; empty if they are one."""
    layout, num_ids = layout_of(model), identities(model, tensors)
    shapes = {key.name: _shape(key, release(model).num_ids, num_ids) for key in release(model).keys}
    needed = [key.name for key, _ in _places(model) if key.name not in layout.also]
    faults = {
        "missing": [name for name in needed if name not in tensors],
        "unknown": sorted(set(tensors) - set(shapes)),
        "of another shape": [
            f"{name} {tuple(tensors[name].shape)}, expected {shape}"
            for name, shape in shapes.items()
            if name in tensors and tuple(tensors[name].shape) != shape
        ],
    }
    return [f"\n    {kind}: {_listed(names)}" for kind, names in faults.items() if names]


def _places(model: str) -> Iterator[tuple[Key, Place]]:
    """Yield each tensor that the network of this package has too, and its place."""
    layout = layout_of(model)
    for key in release(model).keys:
        if key.used and (place := layout.place(key.name)) is not None:
            yield key, place


def _identity_axes(key: Key, num_ids: int) -> dict[int, int]:
    """Return {axis: number of entries for each identity}."""
    return {axis: size // num_ids for axis, size in enumerate(key.shape) if size in (num_ids, 2 * num_ids)}


def _shape(key: Key, num_ids: int, actual: int) -> tuple[int, ...]:
    """Return the shape of the key list for another number of identities."""
    factors = _identity_axes(key, num_ids)
    return tuple(factors[axis] * actual if axis in factors else size for axis, size in enumerate(key.shape))


def _listed(names: list[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
