"""Split a Swin Transformer of timm into patch embedding and four layers (family "windows")."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from timm.models.swin_transformer import SwinTransformer
from torch import nn

from vireid.core.errors import ArgumentError
from vireid.models.backbones.timm_network import create, in_modules, require_timm

UNITS = ("embed", "layer1", "layer2", "layer3", "layer4")
MODULES = ("swin_transformer",)  # modules of timm whose networks take `strict_img_size`
TIMM = (1, 0, 12)  # the first whose windows are padded on maps of odd sides


@dataclass(frozen=True)
class Windows:
    """Units of a window transformer, from images to normalized maps; all maps are (B, H, W, C)."""

    units: OrderedDict[str, nn.Module]  # embed, layer1, ..., layer4; the final norm belongs to the last
    channels: int
    patch: int  # side of a patch


def cut_windows(
    arch: str,
    *,
    image_size: tuple[int, int],
    options: Mapping[str, float] | None = None,
    checkpointing: bool = False,
    pretrained: bool = False,
    weights: str | None = None,
) -> Windows:
    """Split a Swin Transformer into its units.

    The windows and their position tables are those of the native network at every image size.

    Args:
        arch: Name of a timm model, optionally with a tag.
        image_size: Height and width of the images.
        options: Constructor arguments of the timm network, such as `drop_path_rate`.
        checkpointing: Store the inputs of the blocks only, and compute the blocks again in the backward pass.
        pretrained: Load the weights of timm (network or local cache).
        weights: Local file to load instead, strictly.

    Raises:
        ValueError: If the network is not a Swin Transformer of the first version, the installed timm is too old, or an
            argument is out of range.
        CheckpointError: If weights are not available or do not fit.
    """
    if not in_modules(arch, MODULES):
        model = create(arch)
        text = f"{arch!r} ({type(model).__name__}) is not a Swin Transformer; choose one such as"
        raise ArgumentError("arch", f"{text} swin_tiny_patch4_window7_224, or another backbone (vireid list backbones)")
    require_timm(TIMM, arch)
    model: Any = create(arch, pretrained=pretrained, weights=weights, strict_img_size=False, **(options or {}))
    patch = int(model.patch_embed.patch_size[0])
    check_sides(image_size, patch)
    units = _units(model)
    key = (arch, image_size, next(model.parameters()).device.type)
    if key not in _checked:
        _check_cut(model, units, image_size, arch)
        _checked.add(key)
    for layer in model.layers:
        layer.grad_checkpointing = checkpointing
    return Windows(units, int(model.num_features), patch)


# (arch, image size, device type) of networks whose cut was compared with timm: weights make no difference
_checked: set[tuple] = set()


def check_sides(image_size: tuple[int, int], patch: int) -> None:
    """Raise ArgumentError unless both sides of the images are multiples of the side of a patch."""
    height, width = image_size
    if height % patch or width % patch:
        nearest = f"{max(patch, height - height % patch)}x{max(patch, width - width % patch)}"
        text = f"is {height}x{width}, and both sides must be multiples of {patch}; set SIZE to {nearest}"
        raise ArgumentError("image size", text)


def _units(model: Any) -> OrderedDict[str, nn.Module]:
    if not isinstance(model, SwinTransformer) or len(model.layers) != len(UNITS) - 1:
        raise ArgumentError("arch", f"{type(model).__name__} has {len(model.layers)} layers; choose a Swin with 4")
    *early, last = model.layers
    ending = nn.Sequential(OrderedDict(layer=last, norm=model.norm))
    return OrderedDict(zip(UNITS, [model.patch_embed, *early, ending], strict=True))


def _check_cut(model: Any, units: OrderedDict[str, nn.Module], image_size: tuple[int, int], arch: str) -> None:
    """Check that the units in sequence compute the forward pass of the network."""
    height, width = image_size
    parameter = next(model.parameters())
    ramp = torch.linspace(-1, 1, 3 * height * width, device=parameter.device, dtype=parameter.dtype)
    x = images = (20 * ramp).sin().view(1, 3, height, width)
    training = model.training
    model.eval()
    with torch.no_grad():
        expected = model.forward_features(images)
        for unit in units.values():
            x = unit(x)
    model.train(training)
    if x.shape != expected.shape or (x.device.type != "meta" and not torch.equal(x, expected)):
        text = f"{arch!r} is not a sequence of patch embedding, layers and norm and cannot be split"
        raise ArgumentError("arch", f"{text}; choose another one, such as swin_tiny_patch4_window7_224")
