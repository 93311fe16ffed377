"""Backbone of DEEN: two stems, a shared trunk with stage aggregation, and several output rows for each image."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.errors import ArgumentError, nearest
from vireid.core.paths import InputFile
from vireid.core.registries import BACKBONES
from vireid.layers.cross_stage import StageAggregation
from vireid.models.backbones.layer_numbers import cnn_layers
from vireid.models.backbones.timm_stages import UNITS, cut
from vireid.models.backbones.two_stream import by_modality


class Branch(nn.Module):
    """Branch of the embedding expansion: mean of three dilated convolutions, ReLU, 1 x 1 convolution.

    Shape:
        (R, C, H, W) -> (R, C, H, W).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 4
        self.dilated = nn.ModuleList(
            nn.Conv2d(channels, inner, 3, padding=rate, dilation=rate, bias=False) for rate in (1, 2, 3)
        )
        self.widen = nn.Conv2d(inner, channels, 1)
        for conv in (*self.dilated, self.widen):
            nn.init.kaiming_normal_(conv.weight, mode="fan_in")  # type: ignore[arg-type]

    def forward(self, feature_map: Tensor) -> Tensor:
        first, second, third = (conv(feature_map) for conv in self.dilated)
        return self.widen(F.relu((first + second + third) / 3))


class EmbeddingExpansion(nn.Module):
    """Diverse embedding expansion: concatenate the rows and their output of each branch.

    Args:
        channels: Number of channels C.
        branches: Number of branches.
        dropout: Element dropout on all rows.

    Shape:
        (R, C, H, W) -> ((1 + branches) R, C, H, W).

    Source:
        DEEN (CVPR 2023), released code: 2 branches, dropout 0.01, no residual, no normalization.
    """

    def __init__(self, channels: int, *, branches: int = 2, dropout: float = 0.01) -> None:
        super().__init__()
        self.branches = nn.ModuleList(Branch(channels) for _ in range(branches))
        self.dropout = nn.Dropout(dropout)

    def forward(self, feature_map: Tensor) -> Tensor:
        return self.dropout(torch.cat([feature_map, *(branch(feature_map) for branch in self.branches)]))


@BACKBONES.register
class DiverseBackbone(nn.Module):
    """DEEN backbone: two stems, a shared trunk with `StageAggregation`, and rows expanded before the last stage.

    Each stage up to `expand_after` is followed by an aggregation with the stage before it, then comes
    `EmbeddingExpansion`, then one more stage. Rows may be in any order. `CrossModalityNet` computes the field `branch`
    from `source`.

    Args:
        arch: timm model; see `TwoStreamBackbone`.
        expand_after: Stage after which rows are expanded: "stage1" to "stage3".
        branches: Number of branches.
        dropout: Element dropout after the expansion.
        last_stride: Stride of stage 4, if stage 4 is the last stage.
        pretrained: Load the weights of timm; see `TwoStreamBackbone`.
        weights: Local file of weights; see `TwoStreamBackbone`.

    Shape:
        images (B, 3, h, w), modality (B,) -> feature map (R, C, H, W) and source (R,), R = (1 + branches) B: all
        original rows, then all rows of branch 1, then branch 2.

    Raises:
        ValueError: If an argument is out of range or `arch` cannot be split into stages.
        CheckpointError: If weights cannot be loaded.

    Source:
        Zhang and Wang, "Diverse Embedding Expansion Network and Low-Light Cross-Modality Benchmark for
        Visible-Infrared Person Re-identification" (DEEN), CVPR 2023; released code on ResNet-50: expansion after stage
        3 for SYSU-MM01 and LLCM, after stage 2 (so without stage 4, 1024 channels) for RegDB.

    Departs:
        Not in any number. The released code builds maps of positions x positions; the products are taken in the other
        order here.

    Example:
        >>> from vireid.models import DiverseBackbone
        >>> backbone = DiverseBackbone(arch="resnet10t", branches=2).eval()
        >>> with torch.no_grad():
        ...     feature_map, source = backbone(torch.randn(2, 3, 64, 32), torch.tensor([0, 1]))
        >>> feature_map.shape, source
        (torch.Size([6, 512, 4, 2]), tensor([0, 1, 0, 1, 0, 1]))
    """

    example: ClassVar[dict] = {"arch": "resnet10t"}
    without_weights: ClassVar[dict] = {"pretrained": False, "weights": None}
    provides: ClassVar[frozenset[str]] = frozenset({"branch", "source"})

    def __init__(
        self,
        *,
        arch: str = "resnet50",
        expand_after: str = "stage3",
        branches: int = 2,
        dropout: float = 0.01,
        last_stride: int = 1,
        pretrained: bool = False,
        weights: InputFile | None = None,
    ) -> None:
        super().__init__()
        places = UNITS[1:-1]
        if expand_after not in places:
            raise ArgumentError("expand_after", f"must be one of {', '.join(places)}{nearest(expand_after, places)}")
        if branches < 1:
            raise ArgumentError("branches", f"must be at least 1, got {branches}")
        if not 0 <= dropout < 1:
            raise ArgumentError("dropout", f"must be in [0, 1), got {dropout}")
        stages = cut(arch, last_stride=last_stride, pretrained=pretrained, weights=weights)
        kept = UNITS[1 : UNITS.index(expand_after) + 2]  # stages of the trunk; the last one follows the expansion
        widths = stages.channels
        self.channels = widths[kept[-1]]
        self.visible = nn.Sequential(OrderedDict(stem=stages.units["stem"]))
        self.infrared = copy.deepcopy(self.visible)
        self.shared = nn.ModuleDict({name: stages.units[name] for name in kept})
        before: dict[str, str] = dict(zip(UNITS[1:], UNITS))
        self.aggregate = nn.ModuleDict(
            {name: StageAggregation(widths[name], widths[before[name]]) for name in kept[:-1]}
        )
        self.expand = EmbeddingExpansion(widths[expand_after], branches=branches, dropout=dropout)

    def forward(self, images: Tensor, modality: Tensor, visible: int | None = None) -> tuple[Tensor, Tensor]:
        feature_map = by_modality(self.visible, self.infrared, images, modality, visible)
        *early, last = self.shared
        for name in early:
            feature_map = self.aggregate[name](self.shared[name](feature_map), feature_map)
        feature_map = self.shared[last](self.expand(feature_map))
        rows = torch.arange(images.shape[0], device=images.device)
        return feature_map, rows.repeat(1 + len(self.expand.branches))

    def layers(self) -> list[list[str]]:
        """Module paths of each layer: the stem, then each block; aggregation and expansion are new (`HasLayers`)."""
        return cnn_layers(self)
