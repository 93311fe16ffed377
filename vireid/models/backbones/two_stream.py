"""Two-stream backbone: modality-specific early stages, shared late stages."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError, nearest
from vireid.core.paths import InputFile
from vireid.core.registries import BACKBONES, INSERTS
from vireid.core.types import Modality
from vireid.models.backbones.layer_numbers import cnn_layers
from vireid.models.backbones.timm_stages import UNITS, StageWithTail, cut


class Insert(Protocol):
    """Module to place after blocks of a stage, such as a non-local block; it keeps the shape of the map."""

    count: int  # after each of the last `count` blocks of the stage

    def build(self, channels: int) -> nn.Module:
        """Build a module for maps of this number of channels: (R, C, H, W) -> (R, C, H, W)."""
        ...


@BACKBONES.register(inserts=INSERTS)
class TwoStreamBackbone(nn.Module):
    """Two-stream timm CNN: the first units exist once for each modality, the other units are shared.

    The units are the stem (0) and the four stages (1 to 4). The modality-specific units start from equal weights.
    Shared units run on the joint batch, so that their batch statistics are those of both modalities. Rows may be in
    any order, and a batch may hold one modality only.

    Args:
        arch: timm CNN with a stem and four stages, optionally with a tag ("resnet50.tv_in1k").
        share_from: First shared unit: 0 shares all units, 5 none.
        last_stride: Stride of stage 4, 1 or 2; see `timm_stages.cut`.
        last_stage: Last stage that is used, 1 to 4; the map is its output.
        conv_head: Keep the last convolution of EfficientNet and MobileNet V2 (1280 channels); without it the map is
            the output of the last block (320 channels, of both signs).
        drop_path: Drop-path rate of the last block; it rises linearly from 0.
        pretrained: Load the weights of timm (network or local cache).
        weights: Local file of weights to load instead; see `timm_network.load_weights`.
        inserts: Modules to place after blocks of a stage, by stage name ("stage2").

    Shape:
        images (B, 3, h, w), modality (B,) -> feature map (B, C, h/16, w/16) with `last_stride` 1 or `last_stage` 3, or
        h/32 with `last_stride` 2; source None. The optional input `visible` (`Batch.visible`) avoids a device
        synchronization.

    Raises:
        ValueError: If an argument is out of range or `arch` cannot be split into stages.
        CheckpointError: If weights cannot be loaded.

    Source:
        HCT (TMM 2020), released code (`share_net`). With resnet50 the parameter count is the same.

    Departs:
        Not in any number.

    Example:
        >>> from vireid.models import TwoStreamBackbone
        >>> backbone = TwoStreamBackbone(arch="resnet10t", share_from=1).eval()
        >>> with torch.no_grad():
        ...     feature_map, source = backbone(torch.randn(2, 3, 64, 32), torch.tensor([0, 1]))
        >>> feature_map.shape, source
        (torch.Size([2, 512, 4, 2]), None)
    """

    families: ClassVar[Mapping[str, str]] = {
        "stages": "ResNet, ResNeXt, RegNet, ConvNeXt, ConvNeXt V2",
        "blocks": "EfficientNet, EfficientNet-Lite, MobileNet V2 to V4, MnasNet",
    }
    example: ClassVar[dict] = {"arch": "resnet10t"}
    without_weights: ClassVar[dict] = {"pretrained": False, "weights": None}  # for checks of shapes only

    def __init__(
        self,
        *,
        arch: str = "resnet50",
        share_from: int = 3,
        last_stride: int = 1,
        last_stage: int = 4,
        conv_head: bool = True,
        drop_path: float = 0.0,
        pretrained: bool = False,
        weights: InputFile | None = None,
        inserts: Mapping[str, Insert] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= share_from <= len(UNITS):
            raise ArgumentError(
                "share_from", f"must be 0 (all shared) to {len(UNITS)} (nothing shared), got {share_from}"
            )
        if not 1 <= last_stage < len(UNITS):
            raise ArgumentError("last_stage", f"must be 1 to {len(UNITS) - 1}, got {last_stage}")
        if share_from > last_stage + 1:
            raise ArgumentError("share_from", f"must be at most last_stage + 1 ({last_stage + 1}), got {share_from}")
        stages = cut(
            arch,
            last_stride=last_stride,
            conv_head=conv_head,
            drop_path=drop_path,
            pretrained=pretrained,
            weights=weights,
        )
        units = OrderedDict((name, stages.units[name]) for name in UNITS[: last_stage + 1])
        for stage, insert in (inserts or {}).items():
            name = stage.lower()
            if name not in list(units)[1:]:
                known = f"{nearest(name, list(units)[1:])} (stages: stage1 to stage{last_stage})"
                raise ValueError(f"inserts: {stage!r} is not a stage{known}")
            units[name] = _with_inserts(units[name], insert, stages.block_channels[name], name)
        specific, shared = list(units.items())[:share_from], list(units.items())[share_from:]
        self.channels = stages.channels[UNITS[last_stage]]
        self.visible = nn.Sequential(OrderedDict(specific))
        self.infrared = copy.deepcopy(self.visible)
        self.shared = nn.Sequential(OrderedDict(shared))

    def forward(self, images: Tensor, modality: Tensor, visible: int | None = None) -> tuple[Tensor, None]:
        return self.shared(by_modality(self.visible, self.infrared, images, modality, visible)), None

    def layers(self) -> list[list[str]]:
        """Module paths of each layer: the stem, then each block (`HasLayers`)."""
        return cnn_layers(self)


def by_modality(
    visible_units: nn.Sequential, infrared_units: nn.Sequential, images: Tensor, modality: Tensor, visible: int | None
) -> Tensor:
    """Run each row through the units of its modality, keeping the order of the rows.

    A graph of `torch.export` cannot split rows by their values. Unless `visible` is given, both units are computed for
    all rows there and one result is selected for each row: the cost of these units doubles.

    Args:
        visible_units: Units for visible rows.
        infrared_units: Units for infrared rows.
        images: (B, 3, h, w).
        modality: (B,).
        visible: Number of visible rows if these come first. None: read `modality`, which synchronizes with the device.
    """
    if not len(visible_units):
        return images
    if visible is None and torch.compiler.is_exporting():
        visible_rows, infrared_rows = visible_units(images), infrared_units(images)
        is_visible = (modality == Modality.VISIBLE).view(-1, *[1] * (visible_rows.dim() - 1))
        return torch.where(is_visible, visible_rows, infrared_rows)
    is_sorted = True
    if visible is None:
        visible, is_sorted = _count_visible(modality)
    if visible == images.shape[0]:
        return visible_units(images)
    if visible == 0:
        return infrared_units(images)
    order = None if is_sorted else torch.argsort(modality, stable=True)
    images = images if order is None else images[order]  # keeps channels_last; index_select does not
    joined = torch.cat([visible_units(images[:visible]), infrared_units(images[visible:])])
    return joined if order is None else joined[torch.argsort(order)]


def _count_visible(modality: Tensor) -> tuple[int, bool]:
    """Number of visible rows, and whether these come first; synchronizes with the device once."""
    is_visible = modality == Modality.VISIBLE
    unknown = ~is_visible & (modality != Modality.INFRARED)
    is_sorted = (modality[1:] >= modality[:-1]).all()
    visible, is_sorted, invalid = torch.stack([is_visible.sum(), is_sorted.long(), unknown.sum()]).tolist()
    if invalid:
        raise ArgumentError("modality", f"must be one of {list(map(int, Modality))}; {invalid} rows have another value")
    return visible, bool(is_sorted)


def _with_inserts(stage: nn.Module, insert: Insert, channels: Sequence[int], name: str) -> nn.Module:
    """Place a module after each of the last `insert.count` blocks of a stage (after every block if there are fewer).

    Blocks keep their names in the state dict; the module after block "3" is "3_insert". A final norm or convolution
    follows the last insert. In networks with one sequence `blocks` (EfficientNet), a block is a group of blocks of
    timm.

    Args:
        stage: Sequence of blocks.
        insert: Builds the modules.
        channels: Number of channels behind each block.
        name: Name of the stage, for errors.
    """
    if isinstance(stage, StageWithTail):
        blocks, *tail = stage.named_children()
        return StageWithTail(OrderedDict([(blocks[0], _with_inserts(blocks[1], insert, channels, name)), *tail]))
    if not isinstance(stage, nn.Sequential):
        raise ValueError(
            f"inserts: {name} of this network is not a sequence of blocks, so nothing can be inserted; choose another "
            "arch, or leave this insert out"
        )
    if insert.count < 1:
        raise ValueError(f"inserts: count in {name} must be at least 1, got {insert.count}")
    blocks = dict(stage.named_children())
    chosen = set(list(blocks)[-insert.count :])
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for (key, block), width in zip(blocks.items(), channels, strict=True):
        parts[key] = block
        if key in chosen:
            parts[f"{key}_insert"] = insert.build(width)
    return nn.Sequential(parts)
