"""Tiny inputs, a tiny backbone, and parts built from their example arguments."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from vireid.core.fields import BACKBONE_FIELDS, BATCH_FIELDS, FIELDS
from vireid.core.registries import BACKBONES
from vireid.core.types import Batch, DatasetInfo, Modality

TINY = DatasetInfo(num_ids=4, num_cameras=6, num_attributes=8, channels=16, feature_dim=16)
SIZES = {"C": 16, "D": 16, "H": 6, "W": 3, "I": 4, "A": 8, "A|1": 8, "P": 3}


def tiny_batch(
    *, identities: int = 4, per_modality: int = 3, size: tuple[int, int] = (64, 32), attributes: int = 8, seed: int = 0
) -> Batch:
    """Create a batch of both modalities in random order: 2 x identities x per_modality normalized images, two views.

    Example:
        >>> len(tiny_batch(identities=4, per_modality=3))
        24
    """
    generator = torch.Generator().manual_seed(seed)
    rows = 2 * identities * per_modality
    order = torch.randperm(rows, generator=generator)
    labels = torch.arange(identities).repeat_interleave(2 * per_modality)[order]
    modality = torch.tensor([Modality.VISIBLE, Modality.INFRARED]).repeat(rows // 2)[order]
    known = torch.rand(rows, attributes, generator=generator) < 0.8
    return Batch(
        images=torch.randn(rows, 3, *size, generator=generator).to(memory_format=torch.channels_last),
        labels=labels,
        modality=modality,
        cameras=torch.where(modality == Modality.VISIBLE, 1, 3) + labels % 2,
        view=(torch.arange(per_modality) % 2).repeat_interleave(2).repeat(identities)[order],
        index=torch.randperm(rows, generator=generator),
        attributes=(torch.rand(rows, attributes, generator=generator) < 0.5).float() if attributes else None,
        attributes_known=known if attributes else None,
    )


# fields of some backbones come last: a new one changes no value of the others
_FIELD_NUMBERS = {
    name: number for number, name in enumerate([*sorted(set(FIELDS) - BACKBONE_FIELDS), *sorted(BACKBONE_FIELDS)])
}


def tiny_field(name: str, batch: Batch, *, seed: int = 0) -> Tensor:
    """Create a random value of a field with its shape: maps are >= 0, masks sum to 1 over parts."""
    if name in BATCH_FIELDS:
        value = getattr(batch, name)
        assert value is not None, f"the tiny batch does not contain {name}"
        return value.clone()
    if name in ("branch", "source"):  # rows of one identity and modality serve as copies of one image
        source = 2 * batch.labels + batch.modality
        earlier = (source.unsqueeze(0) == source.unsqueeze(1)).tril(diagonal=-1)
        return source if name == "source" else earlier.sum(dim=1)
    generator = torch.Generator().manual_seed(seed * 1009 + _FIELD_NUMBERS[name])
    shape = [len(batch) if letter == "R" else SIZES[letter] for letter in FIELDS[name].shape]
    value = torch.randn(shape, generator=generator)
    if name == "part_masks":
        return value.softmax(dim=1)
    return value.relu() if name in ("feature_map", "pooled", "pooled_image") else value


def tiny_fields(names: Iterable[str], batch: Batch, *, seed: int = 0) -> dict[str, Tensor]:
    """Create values of several fields; AssertionError for names that `core.fields` does not define."""
    unknown = sorted(set(names) - set(FIELDS) - set(BATCH_FIELDS))
    assert not unknown, f"core/fields.py does not define {', '.join(unknown)}: add the field with its shape there"
    return {name: tiny_field(name, batch, seed=seed) for name in names}


@BACKBONES.register
class TinyBackbone(nn.Module):
    """Two-stream backbone of three convolutions for tests.

    Args:
        width: Number of output channels.

    Shape:
        images (B, 3, h, w), modality (B,) -> feature map (B, width, h/16, w/16) and None.

    Example:
        >>> batch = tiny_batch()
        >>> TinyBackbone(width=16)(batch.images, batch.modality)[0].shape
        torch.Size([24, 16, 4, 2])
    """

    def __init__(self, *, width: int = 16) -> None:
        super().__init__()
        self.channels = width
        self.visible = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.infrared = copy.deepcopy(self.visible)
        self.shared = nn.Sequential(
            nn.Conv2d(8, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)
        )

    def forward(self, images: Tensor, modality: Tensor) -> tuple[Tensor, None]:
        visible = (modality == Modality.VISIBLE).view(-1, 1, 1, 1)
        rows = images.new_zeros(len(images), 8, (images.shape[2] + 3) // 4, (images.shape[3] + 3) // 4)
        for mask, branch in ((visible, self.visible), (~visible, self.infrared)):
            chosen = mask.flatten().nonzero().squeeze(1)
            if len(chosen):
                rows = rows.index_copy(0, chosen, branch(images[chosen]).to(rows.dtype))
        return self.shared(rows), None


def build_example(target: Callable[..., Any], info: DatasetInfo = TINY, **runtime: Any) -> Any:
    """Build a registered class from its defaults, its `example` arguments and a DatasetInfo.

    A class with other required arguments needs a class attribute `example` with keyword arguments for them.

    Args:
        target: Class or function to call.
        info: Numbers of a dataset, passed by parameter name.
        runtime: Further arguments, passed by parameter name.
    """
    parameters = inspect.signature(target).parameters
    arguments = {name: value for name, value in (asdict(info) | runtime).items() if name in parameters}
    arguments |= copy.deepcopy(getattr(target, "example", {}))
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and name not in arguments
    ]
    name = getattr(target, "__name__", repr(target))
    assert not missing, (
        f"{name} needs {', '.join(missing)}: give it a class attribute `example` with arguments for tests"
    )
    return target(**arguments)
