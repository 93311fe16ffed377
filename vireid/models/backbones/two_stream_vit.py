"""Two-stream plain vision transformer: modality-specific patch embedding and first blocks, shared late blocks."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError, DataError, nearest
from vireid.core.paths import InputFile
from vireid.core.registries import BACKBONES
from vireid.core.types import Sample
from vireid.models.backbones.jigsaw import JigsawBranch, check_jigsaw
from vireid.models.backbones.layer_numbers import in_streams
from vireid.models.backbones.timm_vit import Column, cut_column
from vireid.models.backbones.two_stream import by_modality

SIDES = ("none", "modality", "camera", "camera_modality")


@BACKBONES.register
class TwoStreamViT(nn.Module):
    """Two-stream vision transformer: the first units exist once for each modality, the other units are shared.

    The units are the patch embedding (with class and register tokens and positions), the blocks, and the final norm.
    The modality-specific units start from equal weights. Learned positions are resampled to the patch grid of
    `image_size`. ViT, DeiT, DINOv2, DINOv3, the image towers of CLIP and SigLIP, and EVA-02 are such networks.

    The values of the map have both signs: `GeM` would drop the negative half, so use `ClassTokenPool` or `AveragePool`.

    Args:
        arch: timm vision transformer, optionally with a tag.
        share_from: Number of modality-specific units: 0 shares all units, 1 all but the patch embedding, 1 + k also
            specializes the first k blocks, 2 + the number of blocks shares none.
        stride: Stride of the patches in pixels, a number or (down, right); None: the side of a patch. Smaller strides
            make patches overlap.
        positions: Interpolation of the positions: "bicubic" as timm, or "bilinear" as TransReID and PMT.
        side: Side information added to every token: "none", "modality", "camera" or "camera_modality" (for cameras
            that see both modalities).
        side_weight: Factor of the side information.
        drop_path: Drop-path rate of the last block; it rises linearly from 0.
        pos_drop: Dropout after the positions.
        proj_drop: Dropout after the projections of attention and MLP.
        attn_drop: Dropout of the attention weights.
        norm_eps: Epsilon of every LayerNorm; None: that of timm.
        jigsaw_parts: Number of groups of shuffled patches whose class tokens are `part_features`, 4 in TransReID; 0:
            none. The last block must be shared.
        jigsaw_rearrange: Shuffle the patches before they are divided into groups.
        checkpointing: Recompute each block in the backward pass, to save memory.
        pretrained: Load the weights of timm (network or local cache).
        weights: Local file of weights to load instead; see `timm_network.load_weights`.
        weights_grid: Rows and columns of the positions in `weights`, which are resampled from there; None: the native
            grid of `arch`. The number of positions does not tell the grid, so that other files are refused.
        image_size: Height and width of the images, the SIZE of the config.
        num_cameras: Number of cameras, for `side`.

    Shape:
        images (B, 3, h, w), modality (B,) -> feature map (B, D, rows, columns) with one position for each patch; source
        None; {"class_token": (B, D)} or {}, with `jigsaw_parts` P also "part_features": (B, P, D). A grid has
        (h - patch) // stride + 1 rows. Map and class token do not change with `jigsaw_parts`.

    Raises:
        ValueError: If an argument is out of range, `arch` is not a plain vision transformer, or an image has another
            size.
        CheckpointError: If weights cannot be loaded.

    Source:
        Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; networks of timm. Overlapping patches and side
        information, and jigsaw patches: He et al., "TransReID: Transformer-based Object Re-Identification", ICCV 2021.

    Departs:
        timm pools EVA-02 and *_gap_* networks before the last norm; here the norm is applied to every token. The sides
        of an image may differ from multiples of the patch; the last pixels are then ignored.

    Example:
        >>> from vireid.models import TwoStreamViT
        >>> backbone = TwoStreamViT(arch="test_vit", image_size=(64, 32)).eval()
        >>> with torch.no_grad():
        ...     feature_map, source, fields = backbone(torch.randn(2, 3, 64, 32), torch.tensor([0, 1]))
        >>> feature_map.shape, source, fields["class_token"].shape
        (torch.Size([2, 64, 4, 2]), None, torch.Size([2, 64]))
    """

    families: ClassVar[Mapping[str, str]] = {
        "column": "ViT, DeiT, DINOv2, DINOv3, CLIP and SigLIP image towers, EVA-02"
    }
    trained_cameras: Tensor
    example: ClassVar[dict] = {"arch": "test_vit", "image_size": (64, 32), "share_from": 2}
    without_weights: ClassVar[dict] = {"pretrained": False, "weights": None}

    def __init__(
        self,
        *,
        arch: str = "vit_base_patch16_224",
        share_from: int = 1,
        stride: int | tuple[int, int] | None = None,
        positions: str = "bicubic",
        side: str = "none",
        side_weight: float = 3.0,
        drop_path: float = 0.0,
        pos_drop: float = 0.0,
        proj_drop: float = 0.0,
        attn_drop: float = 0.0,
        norm_eps: float | None = None,
        jigsaw_parts: int = 0,
        jigsaw_rearrange: bool = True,
        checkpointing: bool = False,
        pretrained: bool = False,
        weights: InputFile | None = None,
        weights_grid: tuple[int, int] | None = None,
        image_size: tuple[int, int] = (288, 144),
        num_cameras: int = 0,
    ) -> None:
        super().__init__()
        rates = {"drop_path": drop_path, "pos_drop": pos_drop, "proj_drop": proj_drop, "attn_drop": attn_drop}
        for name, rate in rates.items():
            if not 0 <= rate < 1:
                raise ArgumentError(name, f"must be in [0, 1), got {rate}")
        if side not in SIDES:
            raise ArgumentError("side", f"must be one of {', '.join(SIDES)}{nearest(side, SIDES)}, got {side!r}")
        if side.startswith("camera") and num_cameras < 1:
            raise ArgumentError("side", f"{side!r} needs the number of cameras, and the dataset declares none")
        groups = {"none": 0, "modality": 2, "camera": num_cameras, "camera_modality": 2 * num_cameras}[side]
        column = cut_column(
            arch,
            image_size=(int(image_size[0]), int(image_size[1])),
            stride=stride,
            positions=positions,
            options={f"{name}_rate": rate for name, rate in rates.items()},
            norm_eps=norm_eps,
            checkpointing=checkpointing,
            side_groups=groups,
            side_weight=side_weight,
            pretrained=pretrained,
            weights=weights,
            weights_grid=weights_grid,
        )
        units = list(column.units.items())
        if not 0 <= share_from <= len(units):
            text = f"must be 0 (all shared) to {len(units)} (nothing shared) for {arch!r}, got {share_from}"
            raise ArgumentError("share_from", text)
        self.side, self.num_cameras = side, num_cameras
        self.needs_cameras = side.startswith("camera")
        self.channels, self.grid, self.prefix = column.channels, column.grid, column.prefix
        self.provides = frozenset({"class_token"} if column.has_class_token else ())
        self.visible = Units(OrderedDict(units[:share_from]))
        self.infrared = copy.deepcopy(self.visible)
        self.shared = Units(OrderedDict(units[share_from:]))
        self.local = self._jigsaw(column, jigsaw_parts, jigsaw_rearrange) if jigsaw_parts else None
        self.dims = dict.fromkeys(self.provides, column.channels)
        cameras = num_cameras if self.needs_cameras else 0
        self.register_buffer("trained_cameras", torch.zeros(cameras, dtype=torch.bool))

    def _jigsaw(self, column: Column, parts: int, rearrange: bool) -> JigsawBranch:
        """Local branch; `part_features` joins the provided fields."""
        block, norm = list(column.units.values())[-2:]
        check_jigsaw(
            parts,
            patches=column.grid[0] * column.grid[1],
            has_class_token=column.has_class_token,
            has_rope=getattr(block, "rope", None) is not None,
            last_is_shared=len(self.shared) > 1,
        )
        self.provides |= {"part_features"}
        return JigsawBranch(block, norm, prefix=self.prefix, parts=parts, rearrange=rearrange)

    def forward(
        self, images: Tensor, modality: Tensor, visible: int | None = None, cameras: Tensor | None = None
    ) -> tuple[Tensor, None, dict[str, Tensor]]:
        groups = None if self.side == "none" else self._groups(modality, cameras)
        x, side = self._specific(images, modality, visible, groups)
        fields: dict[str, Tensor] = {}
        if self.local is None:
            tokens = self.shared(x, side)
        else:
            before = self.shared(x, side, stop=-2)
            tokens = self.shared(before, start=-2)
            fields["part_features"] = self.local(before)
        if "class_token" in self.provides:
            fields["class_token"] = tokens[:, 0]
        feature_map = tokens[:, self.prefix :].transpose(1, 2).unflatten(2, self.grid)
        return feature_map, None, fields

    def _specific(
        self, images: Tensor, modality: Tensor, visible: int | None, groups: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Input of the shared units: the output of the modality-specific ones, or the images and their groups."""
        if groups is None:
            return by_modality(self.visible, self.infrared, images, modality, visible), None
        if not len(self.visible):
            return images, groups
        rows = torch.arange(images.shape[0], device=images.device)
        units = (SelectedRows(part, images, groups) for part in (self.visible, self.infrared))
        return by_modality(*units, rows, modality, visible), None  # type: ignore[arg-type]

    def _groups(self, modality: Tensor, cameras: Tensor | None) -> Tensor:
        """Row of the table of side information of each image."""
        if self.side == "modality":
            return modality
        if cameras is None:
            raise ArgumentError("cameras", f"is missing: side {self.side!r} needs the camera of each image")
        cameras = cameras % self.num_cameras  # camera numbers may start at 0 or 1
        return cameras if self.side == "camera" else 2 * cameras + modality

    def layers(self) -> list[list[str]]:
        """Module paths of each layer: the embedding, then each block (`HasLayers`).

        The last layer includes the norm, and the copies of both in the local branch.
        """
        *layers, norm = ([name] for part in (self.visible, self.shared) for name, _ in part.named_children())
        layers[-1] += norm
        layers = in_streams(self, layers)
        return [*layers[:-1], [*layers[-1], "local"]] if self.local is not None else layers

    def observe_training(self, samples: Sequence[Sample]) -> None:
        """Record the cameras of the training images, in addition to those that are recorded."""
        if len(self.trained_cameras):
            self.trained_cameras[sorted({sample.camera % self.num_cameras for sample in samples})] = True

    def validate(self, samples: Sequence[Sample]) -> None:
        """Check that every test camera has training images (`observe_training`); DataError otherwise."""
        if not len(self.trained_cameras):
            return
        trained = self.trained_cameras.tolist()
        unknown = sorted({sample.camera for sample in samples if not trained[sample.camera % self.num_cameras]})
        if unknown:
            raise DataError(
                f"MODEL.BACKBONE (TwoStreamViT): SIDE = {self.side!r}, and no training image is of camera"
                f" {', '.join(map(str, unknown))}; train with SIDE none to evaluate on cameras without training images"
            )


class Units(nn.Sequential):
    """Units in sequence; the first one, a patch embedding, may take the group of each image as well."""

    def forward(
        self, x: Tensor, side: Tensor | None = None, *, start: int | None = None, stop: int | None = None
    ) -> Tensor:
        for number, unit in enumerate(list(self)[start:stop]):
            x = unit(x) if number or side is None else unit(x, side)
        return x


class SelectedRows:
    """Units applied to some rows of a batch, selected by number, with the group of each row."""

    def __init__(self, units: Units, images: Tensor, groups: Tensor) -> None:
        self.units, self.images, self.groups = units, images, groups

    def __len__(self) -> int:
        return len(self.units)

    def __call__(self, rows: Tensor) -> Tensor:
        return self.units(self.images[rows], self.groups[rows])
