"""Split a plain timm vision transformer into patch embedding, blocks and final norm (family "column")."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from timm.layers.patch_embed import PatchEmbed
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from vireid.core.errors import ArgumentError, nearest
from vireid.layers.checkpointing import run_checkpointed
from vireid.layers.precision import float32_or_more
from vireid.models.backbones.timm_network import create, in_modules

MODULES = ("vision_transformer", "deit", "eva")  # modules of timm whose networks take `dynamic_img_size`
POSITIONS = ("bicubic", "bilinear")


@dataclass(frozen=True)
class Column:
    """Units of a plain transformer, from images to normalized tokens."""

    units: OrderedDict[str, nn.Module]  # embed, block0, block1, ..., norm
    channels: int
    prefix: int  # number of tokens before the patch tokens
    grid: tuple[int, int]  # rows and columns of patches
    has_class_token: bool


class PatchEmbedding(nn.Module):
    """Images to tokens: patch projection, prefix tokens (class, register or distillation), positions.

    The modules and parameters are those of the timm network, except for the positions, which are resampled to the grid
    of `image_size`. Pixels at the right and bottom that do not fill a patch are ignored.

    Args:
        model: timm network; its patch stride is that of `model.patch_embed.proj`.
        image_size: Height and width of the images.
        positions: Interpolation of the positions; see `resample_positions`.
        side_groups: Rows of the table of side information; 0: no table.
        side_weight: Factor of the side information.

    Shape:
        images (B, 3, h, w), side (B,) int64 or None -> tokens (B, prefix + patches, D).
    """

    no_decay: ClassVar[frozenset[str]] = frozenset({"cls_token", "reg_token", "dist_token", "pos_embed", "side_embed"})

    cls_token: Tensor | None
    reg_token: Tensor | None
    dist_token: Tensor | None
    pos_embed: Tensor | None

    def __init__(
        self,
        model: Any,
        image_size: tuple[int, int],
        *,
        positions: str = "bicubic",
        side_groups: int = 0,
        side_weight: float = 3.0,
    ) -> None:
        super().__init__()
        patches, prefix = model.patch_embed, model.num_prefix_tokens
        self.image_size, self.grid = image_size, grid_of(image_size, patches.proj)
        self.proj, self.norm = patches.proj, patches.norm
        for name in ("cls_token", "reg_token", "dist_token"):
            self.register_parameter(name, getattr(model, name, None))
        self.no_embed_class = bool(getattr(model, "no_embed_class", False))
        pos_embed = model.pos_embed
        if isinstance(pos_embed, Tensor):
            skipped = 0 if self.no_embed_class else prefix
            pos_embed = nn.Parameter(
                resample_positions(pos_embed.detach(), tuple(patches.grid_size), self.grid, skipped, positions)
            )
        self.register_parameter("pos_embed", pos_embed)
        self.pos_drop: nn.Module = model.pos_drop
        self.norm_pre: nn.Module = getattr(model, "norm_pre", None) or nn.Identity()
        self.side_weight = side_weight
        self.side_embed = nn.Parameter(torch.empty(side_groups, 1, patches.proj.out_channels)) if side_groups else None
        if self.side_embed is not None:
            nn.init.trunc_normal_(self.side_embed, std=0.02)

    def forward(self, images: Tensor, side: Tensor | None = None) -> Tensor:
        if tuple(images.shape[2:]) != self.image_size:
            (h, w), (height, width) = images.shape[2:], self.image_size
            text = f"is {h}x{w}, and the positions of this network are those of {height}x{width}; set SIZE to it"
            raise ArgumentError("image size", text)
        tokens = self.norm(self.proj(images).flatten(2).transpose(1, 2))
        if self.no_embed_class and self.pos_embed is not None:
            tokens = tokens + self.pos_embed
        prefix = [token for token in (self.cls_token, self.reg_token, self.dist_token) if token is not None]
        if prefix:
            tokens = torch.cat([*(token.expand(tokens.shape[0], -1, -1) for token in prefix), tokens], dim=1)
        if not self.no_embed_class and self.pos_embed is not None:
            tokens = tokens + self.pos_embed
        if self.side_embed is not None:
            assert side is not None, "the table of side information needs the group of each image"
            tokens = tokens + self.side_weight * self.side_embed[side]
        return self.norm_pre(self.pos_drop(tokens))


class TransformerBlock(nn.Module):
    """Block of a timm transformer with its rotary positions, recomputed in the backward pass if `checkpointing`.

    Args:
        block: Block of timm.
        rope: Table of rotary positions of the patch grid, or None.
        checkpointing: Store the input of the block only, and compute the block again in the backward pass.

    Shape:
        (B, T, D) -> (B, T, D).
    """

    def __init__(self, block: nn.Module, rope: Tensor | None, *, checkpointing: bool) -> None:
        super().__init__()
        self.block, self.checkpointing = block, checkpointing
        self.register_buffer("rope", rope, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        if self.checkpointing and self.training:
            return run_checkpointed(self._compute, tokens)
        return self._compute(tokens)

    def _compute(self, tokens: Tensor) -> Tensor:
        return self.block(tokens) if self.rope is None else self.block(tokens, rope=self.rope)


def grid_of(image_size: tuple[int, int], proj: nn.Module) -> tuple[int, int]:
    """Rows and columns of patches of an image: (side - patch) // stride + 1."""
    assert isinstance(proj, nn.Conv2d)
    rows, columns = (
        (side - patch) // stride + 1
        for side, patch, stride in zip(image_size, proj.kernel_size, proj.stride, strict=True)
    )
    return rows, columns


def resample_positions(
    positions: Tensor, old: tuple[int, int], new: tuple[int, int], prefix: int, interpolation: str
) -> Tensor:
    """Resample learned positions to another grid; those of prefix tokens stay.

    Args:
        positions: (1, prefix + old rows x old columns, D).
        old: Grid of `positions`.
        new: Grid of the result.
        prefix: Number of positions before those of the patches.
        interpolation: "bicubic": with antialiasing, as timm. "bilinear": without antialiasing, as TransReID and PMT.

    Returns:
        (1, prefix + new rows x new columns, D).

    Example:
        >>> positions = torch.tensor([[[9.0], [0.0], [2.0]]])
        >>> resample_positions(positions, (1, 2), (1, 4), 1, "bilinear").flatten()
        tensor([9.0000, 0.0000, 0.5000, 1.5000, 2.0000])
    """
    if interpolation == "bicubic":
        return resample_abs_pos_embed(positions, list(new), list(old), num_prefix_tokens=prefix)
    image = float32_or_more(positions[:, prefix:]).unflatten(1, old).permute(0, 3, 1, 2)
    image = F.interpolate(image, size=new, mode="bilinear", align_corners=False)
    return torch.cat([positions[:, :prefix], image.flatten(2).transpose(1, 2).to(positions.dtype)], dim=1)


def cut_column(
    arch: str,
    *,
    image_size: tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    positions: str = "bicubic",
    options: Mapping[str, float] | None = None,
    norm_eps: float | None = None,
    checkpointing: bool = False,
    side_groups: int = 0,
    side_weight: float = 3.0,
    pretrained: bool = False,
    weights: str | None = None,
    weights_grid: tuple[int, int] | None = None,
) -> Column:
    """Split a plain timm vision transformer into its units.

    Args:
        arch: Name of a timm model, optionally with a tag.
        image_size: Height and width of the images.
        stride: Stride of the patches in pixels, a number or (down, right); None: the side of a patch.
        positions: Interpolation of the positions; see `resample_positions`.
        options: Constructor arguments of the timm network, such as `drop_path_rate`.
        norm_eps: Epsilon of every LayerNorm; None: that of timm.
        checkpointing: See `TransformerBlock`.
        side_groups: See `PatchEmbedding`.
        side_weight: See `PatchEmbedding`.
        pretrained: Load the weights of timm (network or local cache).
        weights: Local file to load instead, strictly, at the native size of the network.
        weights_grid: Rows and columns of the positions in `weights`; None: those of the native size.

    Raises:
        ValueError: If the network is not a plain transformer, or an argument is out of range.
        CheckpointError: If weights are not available or do not fit.
    """
    if positions not in POSITIONS:
        raise ArgumentError(
            "positions", f"must be one of {', '.join(POSITIONS)}{nearest(positions, POSITIONS)}, got {positions!r}"
        )
    if weights_grid is not None and pretrained and weights is None:
        raise ArgumentError("weights_grid", "is the grid of a local file; set WEIGHTS to the file, or leave it out")
    model: Any = _create(arch, options or {}, pretrained, weights, weights_grid)  # of timm
    proj, has_class_token = model.patch_embed.proj, model.cls_token is not None
    patch = proj.kernel_size[0]
    strides = (patch, patch) if stride is None else (stride, stride) if isinstance(stride, int) else tuple(stride)
    if len(strides) != 2 or not all(1 <= step <= patch for step in strides):
        raise ArgumentError("stride", f"must be between 1 and the side of a patch ({patch}), got {stride}")
    if min(image_size) < patch:
        raise ArgumentError("image_size", f"{image_size} is smaller than a patch of {arch!r} ({patch} pixels)")
    if norm_eps is not None:
        _set_eps(model, norm_eps)
    proj.stride = strides
    embed = PatchEmbedding(model, image_size, positions=positions, side_groups=side_groups, side_weight=side_weight)
    key = (arch, image_size, proj.stride, next(model.parameters()).device.type)
    if key not in _checked:
        native: Any = model if weights_grid is None else _create(arch, {}, False, None, None)
        native.patch_embed.proj.stride = proj.stride
        _check_cut(native, image_size, arch)
        _checked.add(key)
    units = _units(model, embed, checkpointing)
    return Column(units, int(model.embed_dim), int(model.num_prefix_tokens), embed.grid, has_class_token)


# (arch, image size, stride, device type) of networks whose cut was compared with timm: weights make no difference
_checked: set[tuple] = set()


def is_plain_transformer(model: nn.Module) -> bool:
    """Whether a timm network is a plain transformer that can be split."""
    plain = isinstance(model, (VisionTransformer, Eva)) and type(model.patch_embed) is PatchEmbed
    return plain and not getattr(model, "rope_mixed", False)


def _create(
    arch: str,
    options: Mapping[str, float],
    pretrained: bool,
    weights: str | None,
    weights_grid: tuple[int, int] | None,
) -> nn.Module:
    chosen: dict[str, Any] = {name: value for name, value in options.items() if value}
    if in_modules(arch, MODULES):
        chosen["dynamic_img_size"] = True
        if weights_grid is not None and weights is not None:
            chosen["img_size"] = _size_of(arch, weights_grid)
    elif pretrained or weights or chosen:  # the error below does not depend on weights
        pretrained, weights, chosen = False, None, {}
    model = create(arch, pretrained=pretrained, weights=weights, **chosen)
    if not is_plain_transformer(model):
        raise ArgumentError(
            "arch",
            f"{arch!r} ({type(model).__name__}{_reason(model)}) is not a plain vision transformer; choose one such as"
            " vit_small_patch16_224, or NAME: TwoStreamBackbone for CNNs, TwoStreamSwin for Swin Transformers",
        )
    return model


def _size_of(arch: str, grid: tuple[int, int]) -> tuple[int, int]:
    """Height and width of images that a network splits into this grid of patches."""
    if min(grid) < 1:
        raise ArgumentError("weights_grid", f"must be two positive numbers (rows and columns), got {grid}")
    patches: Any = create(arch).patch_embed
    height, width = patches.patch_size
    return grid[0] * height, grid[1] * width


def _reason(model: Any) -> str:
    """What keeps a network of a supported class from being split."""
    if getattr(model, "rope_mixed", False):
        return " with rotary positions of its own in each block"
    if isinstance(model, (VisionTransformer, Eva)):
        return f" with {type(model.patch_embed).__name__}"
    return ""


def _set_eps(model: nn.Module, eps: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = eps


def _final_norm(model: Any) -> nn.Module:
    """The final norm. Networks that are pooled by average have it in `fc_norm`; here it is applied to every token."""
    return model.fc_norm if isinstance(model.norm, nn.Identity) else model.norm


def _rope(model: nn.Module, grid: tuple[int, int]) -> Tensor | None:
    rope: Any = getattr(model, "rope", None)
    return None if rope is None else rope.get_embed(shape=list(grid)).detach()


def _units(model: nn.Module, embed: PatchEmbedding, checkpointing: bool) -> OrderedDict[str, nn.Module]:
    rope = _rope(model, embed.grid)
    blocks: Any = model.blocks
    units: OrderedDict[str, nn.Module] = OrderedDict(embed=embed)
    for number, block in enumerate(blocks):
        units[f"block{number}"] = TransformerBlock(block, rope, checkpointing=checkpointing)
    units["norm"] = _final_norm(model)
    return units


def _check_cut(model: Any, image_size: tuple[int, int], arch: str) -> None:
    """Check that the units in sequence compute the forward pass of the network, for an image of whole patches."""
    patch = model.patch_embed.proj.kernel_size[0]
    height, width = (side - side % patch for side in image_size)
    parameter = next(model.parameters())
    ramp = torch.linspace(-1, 1, 3 * height * width, device=parameter.device, dtype=parameter.dtype)
    images = (20 * ramp).sin().view(1, 3, height, width)
    training = model.training
    model.eval()
    with torch.no_grad():
        expected = model.forward_features(images)
        units = _units(model, PatchEmbedding(model, (height, width)), checkpointing=False)
        if isinstance(model.norm, nn.Identity):  # timm's features are those before `fc_norm`
            units.popitem()
        tokens = images
        for unit in units.values():
            tokens = unit.eval()(tokens)
    model.train(training)
    if tokens.shape != expected.shape or (tokens.device.type != "meta" and not torch.equal(tokens, expected)):
        raise ArgumentError(
            "arch",
            f"{arch!r} ({type(model).__name__}) is not a sequence of patch embedding, blocks and norm and cannot be"
            " split; choose another transformer, such as vit_small_patch16_224",
        )
