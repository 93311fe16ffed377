"""Local branch of TransReID: class tokens of groups of shuffled patch tokens."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.layers.jigsaw import jigsaw_groups


class JigsawBranch(nn.Module):
    """Copy of the last block and the final norm of a transformer, applied to each group of shuffled patch tokens.

    All groups share the copy and are computed as one batch.

    Args:
        block: Last block of the transformer, which is copied.
        norm: Final norm, which is copied.
        prefix: Number of tokens before the patch tokens; the first one is the class token.
        parts: Number of groups P.
        rearrange: Shuffle the patch tokens before they are divided; see `layers.jigsaw.shuffle_patches`.

    Shape:
        tokens (R, prefix + N, D) before the last block -> (R, P, D), the class token of each group.
    """

    def __init__(self, block: nn.Module, norm: nn.Module, *, prefix: int, parts: int, rearrange: bool) -> None:
        super().__init__()
        self.prefix, self.parts, self.rearrange = prefix, parts, rearrange
        self.block, self.norm = copy.deepcopy(block), copy.deepcopy(norm)

    def forward(self, tokens: Tensor) -> Tensor:
        groups = jigsaw_groups(tokens, prefix=self.prefix, parts=self.parts, rearrange=self.rearrange)
        outputs = self.norm(self.block(groups.flatten(0, 1)))
        return outputs[:, 0].unflatten(0, (-1, self.parts))


def check_jigsaw(parts: int, *, patches: int, has_class_token: bool, has_rope: bool, last_is_shared: bool) -> None:
    """Raise ArgumentError if a transformer cannot have a jigsaw branch of this number of groups."""
    if parts < 0 or parts > patches:
        raise ArgumentError("jigsaw_parts", f"must be 0 (no jigsaw) to {patches} (number of patches), got {parts}")
    if parts and not has_class_token:
        raise ArgumentError("jigsaw_parts", "needs a network with class token; choose another ARCH, or set it to 0")
    if parts and has_rope:
        text = "is not possible with rotary positions, which shuffled patches would lose; choose another ARCH, such as"
        raise ArgumentError("jigsaw_parts", f"{text} vit_base_patch16_224, or set it to 0")
    if parts and not last_is_shared:
        raise ArgumentError("jigsaw_parts", "needs a shared last block; lower SHARE_FROM, or set it to 0")
