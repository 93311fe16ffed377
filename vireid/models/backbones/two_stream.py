"""The two-stream network: early units twice, later units shared."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from vireid.core.errors import nearest
from vireid.core.paths import InputFile
from vireid.core.registries import BACKBONES, INSERTS
from vireid.core.types import Modality
from vireid.models.backbones.timm_stages import UNITS, cut


class Insert(Protocol):
    """Something to put behind blocks of a stage, such as a non-local block. A map goes in and comes out."""

    count: int  # behind each of the last `count` blocks of the stage

    def build(self, channels: int) -> nn.Module:
        """A new module for maps of that many channels: (R, C, H, W) -> (R, C, H, W)."""
        ...


@BACKBONES.register(inserts=INSERTS)
class TwoStreamBackbone(nn.Module):
    """A timm CNN whose first units exist once for each modality and whose other units see both.

    Shapes: images (B, 3, h, w), modality (B,) -> map (B, C, h/16, w/16) with `last_stride` 1 (h/32 with 2), no source.
    `visible` (`Batch.visible`) spares the wait for the device that finding the rows of each modality takes.
    Units are the stem (0) and the four stages (1..4); those below `share_from` exist twice and start from equal
    weights. 0 shares everything, 5 nothing. Rows may come in any order; one modality alone is fine. Shared units run
    on the joint batch, so that their batch statistics are those of both modalities.
    `arch` is any timm CNN with a stem and four stages, optionally with a tag ("resnet50.tv_in1k"); `pretrained`,
    `weights` and errors as in `timm_stages.cut`. `inserts` maps stage names to what follows their blocks.
    Source: HCT (TMM 2020), released code, `share_net` there; resnet50 has its parameter counts to the last one.
    """

    example: ClassVar[dict] = {"arch": "resnet10t"}
    without_weights: ClassVar[dict] = {"pretrained": False, "weights": None}  # for shapes alone, as checks want them

    def __init__(
        self,
        *,
        arch: str = "resnet50",
        share_from: int = 3,
        last_stride: int = 1,
        pretrained: bool = False,
        weights: InputFile | None = None,
        inserts: Mapping[str, Insert] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= share_from <= len(UNITS):
            raise ValueError(f"share_from must be 0 (all shared) to {len(UNITS)} (nothing shared), got {share_from}")
        stages = cut(arch, last_stride=last_stride, pretrained=pretrained, weights=weights)
        units = stages.units
        for stage, insert in (inserts or {}).items():
            name = stage.lower()
            if name not in UNITS[1:]:
                known = f"{nearest(name, UNITS[1:])} (stages: stage1 to stage4)"
                raise ValueError(f"inserts: {stage!r} is not a stage{known}")
            units[name] = _with_inserts(units[name], insert, stages.channels[name], name)
        own, joint = list(units.items())[:share_from], list(units.items())[share_from:]
        self.channels = stages.channels[UNITS[-1]]
        self.visible = nn.Sequential(OrderedDict(own))
        self.infrared = copy.deepcopy(self.visible)
        self.shared = nn.Sequential(OrderedDict(joint))

    def forward(self, images: Tensor, modality: Tensor, visible: int | None = None) -> tuple[Tensor, None]:
        return self.shared(by_modality(self.visible, self.infrared, images, modality, visible)), None


def by_modality(
    visible_units: nn.Sequential, infrared_units: nn.Sequential, images: Tensor, modality: Tensor, visible: int | None
) -> Tensor:
    """Each row through the units of its modality, the rows in their old order.

    `visible`: how many rows are visible, where those stand first; None looks at `modality`, which waits for the device.
    """
    if not len(visible_units):
        return images
    sorted_already = True
    if visible is None:
        visible, sorted_already = _look(modality)
    if visible == len(images):
        return visible_units(images)
    if visible == 0:
        return infrared_units(images)
    order = None if sorted_already else torch.argsort(modality, stable=True)
    images = images if order is None else images[order]  # this indexing keeps channels_last, index_select does not
    joined = torch.cat([visible_units(images[:visible]), infrared_units(images[visible:])])
    return joined if order is None else joined[torch.argsort(order)]


def _look(modality: Tensor) -> tuple[int, bool]:
    """How many rows are visible, and whether all of those stand first; waits for the device once."""
    seen = modality == Modality.VISIBLE
    unknown = ~seen & (modality != Modality.INFRARED)
    in_order = (modality[1:] >= modality[:-1]).all()
    visible, in_order, strangers = torch.stack([seen.sum(), in_order.long(), unknown.sum()]).tolist()
    if strangers:
        raise ValueError(f"modality must be {list(map(int, Modality))}; {strangers} rows have something else")
    return visible, bool(in_order)


def _with_inserts(stage: nn.Module, insert: Insert, channels: int, name: str) -> nn.Module:
    """The stage with a module behind each of its last `insert.count` blocks (behind every block where there are fewer).

    Blocks keep their names in the state dict; the module behind block "3" is called "3_insert".
    """
    if not isinstance(stage, nn.Sequential):
        raise ValueError(f"inserts: {name} of this network is no plain row of blocks; nothing can be put into it")
    if insert.count < 1:
        raise ValueError(f"inserts: count in {name} must be at least 1, got {insert.count}")
    blocks = dict(stage.named_children())
    chosen = set(list(blocks)[-insert.count :])
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for key, block in blocks.items():
        parts[key] = block
        if key in chosen:
            parts[f"{key}_insert"] = insert.build(channels)
    return nn.Sequential(parts)
