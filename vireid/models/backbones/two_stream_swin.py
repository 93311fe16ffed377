"""Two-stream Swin Transformer: modality-specific patch embedding and first layers, shared late layers."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.paths import InputFile
from vireid.core.registries import BACKBONES
from vireid.models.backbones.layer_numbers import block_layers, in_streams
from vireid.models.backbones.timm_swin import UNITS, check_sides, cut_windows
from vireid.models.backbones.two_stream import by_modality


@BACKBONES.register
class TwoStreamSwin(nn.Module):
    """Two-stream Swin Transformer: the first units exist once for each modality, the other units are shared.

    The units are the patch embedding (0) and the four layers (1 to 4); the final norm belongs to layer 4. The
    modality-specific units start from equal weights. Windows and position tables are those of the native network.

    The values of the map have both signs: `GeM` would drop the negative half, so use `AveragePool`.

    Args:
        arch: Swin Transformer of timm, optionally with a tag ("swin_tiny_patch4_window7_224.ms_in1k").
        share_from: First shared unit: 0 shares all units, 5 none.
        last_stride: Stride of layer 4. It must be 2, because patch merging cannot keep the size of the map.
        drop_path: Drop-path rate of the last block; it rises linearly from 0.
        proj_drop: Dropout after the projections of attention and MLP.
        attn_drop: Dropout of the attention weights.
        checkpointing: Recompute each block in the backward pass, to save memory.
        pretrained: Load the weights of timm (network or local cache).
        weights: Local file of weights to load instead; see `timm_network.load_weights`.
        image_size: Height and width of the images, the SIZE of the config; multiples of 4.

    Shape:
        images (B, 3, h, w), modality (B,) -> feature map (B, C, ceil(h/32), ceil(w/32)), source None. Images of other
        sizes are possible.

    Raises:
        ValueError: If an argument is out of range, `arch` is not a Swin Transformer of the first version, timm is older
            than 1.0.12, or a side of the images is not a multiple of 4.
        CheckpointError: If weights cannot be loaded.

    Source:
        Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021; networks of
        timm.

    Departs:
        Not in any number: the map is the last one of timm, (B, H, W, C), with the channels first.

    Example:
        >>> import torch
        >>> from vireid.models import TwoStreamSwin
        >>> with torch.device("meta"):
        ...     backbone = TwoStreamSwin(image_size=(288, 144))
        ...     feature_map, source = backbone(torch.randn(2, 3, 288, 144), torch.tensor([0, 1]), visible=1)
        >>> feature_map.shape, source
        (torch.Size([2, 768, 9, 5]), None)
    """

    no_decay: ClassVar[frozenset[str]] = frozenset({"relative_position_bias_table"})
    families: ClassVar[Mapping[str, str]] = {"windows": "Swin (timm 1.0.12 or newer)"}
    example: ClassVar[dict] = {"image_size": (64, 32)}
    without_weights: ClassVar[dict] = {"pretrained": False, "weights": None}

    def __init__(
        self,
        *,
        arch: str = "swin_tiny_patch4_window7_224",
        share_from: int = 1,
        last_stride: int = 2,
        drop_path: float = 0.1,
        proj_drop: float = 0.0,
        attn_drop: float = 0.0,
        checkpointing: bool = False,
        pretrained: bool = False,
        weights: InputFile | None = None,
        image_size: tuple[int, int] = (288, 144),
    ) -> None:
        super().__init__()
        rates = {"drop_path": drop_path, "proj_drop": proj_drop, "attn_drop": attn_drop}
        for name, rate in rates.items():
            if not 0 <= rate < 1:
                raise ArgumentError(name, f"must be in [0, 1), got {rate}")
        if last_stride != 2:
            text = f"must be 2, got {last_stride}: a Swin Transformer halves the map by merging patches"
            raise ArgumentError("last_stride", text)
        if not 0 <= share_from <= len(UNITS):
            text = f"must be 0 (all shared) to {len(UNITS)} (nothing shared), got {share_from}"
            raise ArgumentError("share_from", text)
        windows = cut_windows(
            arch,
            image_size=(int(image_size[0]), int(image_size[1])),
            options={f"{name}_rate": rate for name, rate in rates.items()},
            checkpointing=checkpointing,
            pretrained=pretrained,
            weights=weights,
        )
        units = list(windows.units.items())
        self.channels, self.patch = windows.channels, windows.patch
        self.visible = nn.Sequential(OrderedDict(units[:share_from]))
        self.infrared = copy.deepcopy(self.visible)
        self.shared = nn.Sequential(OrderedDict(units[share_from:]))

    def forward(self, images: Tensor, modality: Tensor, visible: int | None = None) -> tuple[Tensor, None]:
        check_sides((images.shape[2], images.shape[3]), self.patch)
        maps = self.shared(by_modality(self.visible, self.infrared, images, modality, visible))
        return maps.permute(0, 3, 1, 2), None

    def layers(self) -> list[list[str]]:
        """Module paths of each layer: the embedding, then each block; the norm belongs to the last (`HasLayers`)."""
        (embed, _), *stages = (unit for part in (self.visible, self.shared) for unit in part.named_children())
        name, last = stages.pop()
        layers = [layer for path, stage in stages for layer in block_layers(stage, path)]
        layers += block_layers(last.get_submodule("layer"), f"{name}.layer")
        layers[-1].append(f"{name}.norm")
        return in_streams(self, [[embed], *layers])
