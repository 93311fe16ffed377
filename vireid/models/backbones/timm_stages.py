"""Split a timm CNN (families "stages" and "blocks") into a stem and four stages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.models.backbones.timm_network import create

UNITS = ("stem", "stage1", "stage2", "stage3", "stage4")


@dataclass(frozen=True)
class Layout:
    """Names of the children that form the stem and the four stages, for one family of timm networks."""

    stem: tuple[str, ...]
    optional: frozenset[str]  # parts of the stem that some members of the family lack
    stages: Callable[[nn.Module], list[nn.Module] | None]


def _children(*names: str) -> Callable[[nn.Module], list[nn.Module] | None]:
    def find(model: nn.Module) -> list[nn.Module] | None:
        children = dict(model.named_children())
        return [children[name] for name in names] if all(name in children for name in names) else None

    return find


def _sequence(model: nn.Module) -> list[nn.Module] | None:
    stages = dict(model.named_children()).get("stages")
    return list(stages.children()) if isinstance(stages, nn.Sequential) else None


LAYOUTS = (
    Layout(("conv1", "bn1", "act1", "maxpool"), frozenset({"act1"}), _children("layer1", "layer2", "layer3", "layer4")),
    Layout(("stem",), frozenset(), _children("s1", "s2", "s3", "s4")),
    Layout(("stem",), frozenset(), _sequence),
)
HEAD = frozenset({"global_pool", "head", "head_drop", "fc", "classifier", "last_linear", "flatten"})


class StageWithTail(nn.Sequential):
    """Last stage of a network that has modules between its last block and its pooling (final norm, `conv_head`).

    The first child is the sequence of blocks.
    """


@dataclass(frozen=True)
class Stages:
    """The five units of a network, and their numbers of output channels."""

    units: OrderedDict[str, nn.Module]
    channels: dict[str, int]
    block_channels: dict[str, list[int]]  # behind each block of a unit


def cut(
    arch: str,
    *,
    last_stride: int = 1,
    conv_head: bool = True,
    drop_path: float = 0.0,
    pretrained: bool = False,
    weights: str | None = None,
) -> Stages:
    """Split a timm network without its classifier into stem, stage1, ..., stage4.

    Args:
        arch: Name of a timm model, optionally with a tag.
        last_stride: 1: every strided convolution and pooling of the last stage keeps the size of the map, without
            dilation. 2: the network as in timm.
        conv_head: Keep the convolution between the last block and the pooling ("conv_head" of EfficientNet).
        drop_path: Drop-path rate of the last block; it rises linearly from 0.
        pretrained: Load the weights of timm (network or local cache).
        weights: Local file to load instead (safetensors, or a torch file that contains tensors only).

    Raises:
        ValueError: If timm does not know the name (with the closest known name), or the network does not consist of a
            stem and four stages.
        CheckpointError: If weights are not available or do not fit.
    """
    if last_stride not in (1, 2):
        raise ArgumentError("last_stride", f"must be 1 or 2, got {last_stride}")
    if not 0 <= drop_path < 1:
        raise ArgumentError("drop_path", f"must be in [0, 1), got {drop_path}")
    options = {"drop_path_rate": drop_path} if drop_path else {}
    model = create(arch, pretrained=pretrained, weights=weights, **options)
    units = _units(model, arch)
    device = next(model.parameters()).device.type
    key = (arch, last_stride, conv_head, device)
    if key not in _checked:
        _check_cut(model, units, arch)
    if not conv_head:
        units["stage4"] = _without_conv_head(units["stage4"], arch)
    if last_stride == 1:
        keep_size(units["stage4"])
    if key not in _checked:
        _checked[key] = _channels(units, arch, last_stride)
    channels, block_channels = _checked[key]
    return Stages(units, dict(channels), dict(block_channels))


# (arch, last_stride, conv_head, device type) -> channels of units and of blocks. The forward passes of `_check_cut` and
# `_channels` do not depend on the weights, so that they run once for each architecture: most networks of a process are
# dry runs of a few architectures.
_checked: dict[tuple[str, int, bool, str], tuple[dict[str, int], dict[str, list[int]]]] = {}


def _units(model: nn.Module, arch: str) -> OrderedDict[str, nn.Module]:
    children = OrderedDict(model.named_children())
    if (ends := _stage_ends(model, children)) is not None:
        return _units_of_blocks(children, ends)
    for layout in LAYOUTS:
        stages = layout.stages(model)
        stem = [name for name in layout.stem if name in children]
        if stages is None or set(layout.stem) - set(stem) - layout.optional:
            continue
        if len(stages) != len(UNITS) - 1:
            raise ArgumentError("arch", f"{arch!r} has {len(stages)} stages; choose a network with 4")
        first = children[stem[0]]
        joined = first if layout.stem == ("stem",) else nn.Sequential(OrderedDict((n, children[n]) for n in stem))
        last = _with_tail(children, stages[-1])
        return OrderedDict(zip(UNITS, [joined, *stages[:-1], last], strict=True))
    forms = "conv1/bn1/maxpool + layer1..4, stem + stages, stem + s1..s4, or conv_stem/bn1 + blocks"
    raise ArgumentError(
        "arch",
        f"{arch!r} ({type(model).__name__}) has no stages (its modules: {', '.join(children)}); choose a CNN with"
        f" {forms}; plain vision transformers need NAME: TwoStreamViT, Swin Transformers NAME: TwoStreamSwin",
    )


def _stage_ends(model: nn.Module, children: Mapping[str, nn.Module]) -> list[int] | None:
    """Number of blocks up to each of the five resolutions of a CNN with one sequence `blocks`; None for others.

    timm lists the resolutions 1/2 to 1/32 in `feature_info`. In some networks the first one has no block.
    """
    info: Any = getattr(model, "feature_info", None)
    if not {"conv_stem", "bn1", "blocks"} <= set(children) or not all("stage" in entry for entry in info or [{}]):
        return None
    ends = [int(entry["stage"]) for entry in info]
    reductions = [entry["reduction"] for entry in info]
    blocks: Any = children["blocks"]
    return ends if reductions == [2, 4, 8, 16, 32] and ends[-1] == len(blocks) else None


def _units_of_blocks(children: Mapping[str, nn.Module], ends: list[int]) -> OrderedDict[str, nn.Module]:
    """Split the sequence `blocks`; a convolution before the pooling (`conv_head`, `bn2`) belongs to the last stage."""
    blocks: Any = children["blocks"]
    groups = [OrderedDict(list(blocks.named_children())[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
    stem = OrderedDict({name: children[name] for name in ("conv_stem", "bn1")} | groups[0])
    parts = [nn.Sequential(group) for group in (stem, *groups[1:])]
    if "bn2" in children:
        tail = {name: children[name] for name in ("conv_head", "bn2")}
        parts[-1] = StageWithTail(OrderedDict({"blocks": parts[-1]} | tail))
    return OrderedDict(zip(UNITS, parts, strict=True))


def _without_conv_head(stage: nn.Module, arch: str) -> nn.Module:
    """Return the blocks of the last stage of a network with one sequence `blocks`."""
    children = dict(stage.named_children())
    if "conv_head" not in children:
        text = f"is only for networks with a convolution before the pooling, and {arch!r} has none; leave it at true"
        raise ArgumentError("conv_head", text)
    return children["blocks"]


def _with_tail(children: OrderedDict[str, nn.Module], last: nn.Module) -> nn.Module:
    """Return the last stage with the modules between it and the classifier (final norm or convolution)."""
    names = list(children)
    owner = max(i for i, child in enumerate(children.values()) if child is last or last in list(child.children()))
    tail = [name for name in names[owner + 1 :] if name not in HEAD and not isinstance(children[name], nn.Identity)]
    return StageWithTail(OrderedDict([("blocks", last), *((name, children[name]) for name in tail)])) if tail else last


def _example(model: nn.Module) -> Tensor:
    parameter = next(model.parameters())
    side = 64
    ramp = torch.linspace(-1, 1, 3 * side * side, device=parameter.device, dtype=parameter.dtype)
    return ramp.sin().view(1, 3, side, side)


def _check_cut(model: nn.Module, units: OrderedDict[str, nn.Module], arch: str) -> None:
    """Check that the five units in sequence compute the forward pass of the network."""
    training = model.training
    model.eval()
    with torch.no_grad():
        x = _example(model)
        try:
            expected = model.forward_features(x)  # type: ignore[operator]
            for unit in units.values():
                x = unit(x)
        except (AssertionError, RuntimeError) as error:
            raise ValueError(
                f"arch {arch!r} takes images of one size only; choose a fully convolutional network"
            ) from error
    model.train(training)
    if x.dim() != 4 or x.shape != expected.shape or (x.device.type != "meta" and not torch.equal(x, expected)):
        raise ValueError(
            f"arch {arch!r} is not a sequence of a stem and stages and cannot be split; choose another CNN, such as "
            "resnet50"
        )


def keep_size(stage: nn.Module) -> None:
    """Set the stride of every convolution and pooling of a stage to 1, in place, without dilation.

    A convolution with an even kernel (2 x 2 in ConvNeXt) is padded by one at the end. A pooling layer (shortcut of
    ResNet-D, anti-aliasing) becomes the identity, as timm builds it for stride 1.
    """
    for name, module in list(stage.named_modules()):
        stride = getattr(module, "stride", None)
        if stride is None or all(s == 1 for s in (stride if isinstance(stride, tuple) else (stride,))):
            continue
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
            if any(k % 2 == 0 for k in module.kernel_size):
                module.padding = "same"
        elif not any(True for _ in module.parameters()) and name:
            parent, _, child = name.rpartition(".")
            setattr(stage.get_submodule(parent), child, nn.Identity())


def _channels(
    units: OrderedDict[str, nn.Module], arch: str, last_stride: int
) -> tuple[dict[str, int], dict[str, list[int]]]:
    """Numbers of channels behind each unit, and behind each block of each unit."""
    channels, of_blocks, sizes, training = {}, {}, {}, {name: unit.training for name, unit in units.items()}
    with torch.no_grad():
        x = _example(units["stem"])
        for name, unit in units.items():
            unit.eval()
            blocks, *tail = unit if isinstance(unit, StageWithTail) else [unit]
            of_blocks[name] = []
            for block in blocks if isinstance(blocks, nn.Sequential) else [blocks]:
                x = block(x)
                of_blocks[name].append(x.shape[1])
            for module in tail:
                x = module(x)
            channels[name], sizes[name] = x.shape[1], x.shape[2:]
            unit.train(training[name])
    if last_stride == 1 and sizes["stage4"] != sizes["stage3"]:
        raise ArgumentError("last_stride", f"1 is not possible with {arch}; set last_stride: 2")
    return channels, of_blocks
