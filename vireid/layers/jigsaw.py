"""Jigsaw patches (TransReID): shift and interleave patch tokens, and divide them into groups."""

from __future__ import annotations

import torch
from torch import Tensor


def shuffle_patches(patches: Tensor, *, shift: int = 5, groups: int = 2) -> Tensor:
    """Roll the patch tokens to the left by shift - 1 and interleave their groups.

    If the number of tokens is not a multiple of `groups`, the last but one token after the roll is appended once.

    Args:
        patches: Patch tokens without class token, (B, N, D), N >= 2.
        shift: Shift that counts from the class token, as in the released code.
        groups: Number of equal runs that are interleaved.

    Returns:
        (B, N, D), or (B, N + 1, D) if a token was appended.

    Raises:
        ValueError: If the tokens cannot be divided into `groups` runs with one appended token.

    Example:
        >>> patches = torch.arange(8.0).view(1, 8, 1)
        >>> shuffle_patches(patches, shift=3).flatten()  # rolled: 2 3 4 5 | 6 7 0 1
        tensor([2., 6., 3., 7., 4., 0., 5., 1.])
    """
    rolled = torch.cat([patches[:, shift - 1 :], patches[:, : shift - 1]], dim=1)
    if rolled.shape[1] % groups:
        rolled = torch.cat([rolled, rolled[:, -2:-1]], dim=1)
    if rolled.shape[1] % groups:
        raise ValueError(f"{patches.shape[1]} tokens cannot be divided into {groups} groups with one appended token")
    return rolled.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def jigsaw_groups(tokens: Tensor, *, prefix: int, parts: int = 4, rearrange: bool = True, shift: int = 5) -> Tensor:
    """Divide the patch tokens into consecutive groups, each after the class token.

    The last tokens that do not fill a group are left out.

    Args:
        tokens: Class token, further prefix tokens, and N patch tokens, (B, prefix + N, D).
        prefix: Number of tokens before the patch tokens.
        parts: Number of groups P.
        rearrange: Shuffle the patch tokens first; see `shuffle_patches`.
        shift: See `shuffle_patches`.

    Returns:
        (B, P, 1 + N // P, D), without the further prefix tokens.

    Example:
        >>> tokens = torch.arange(-1.0, 8).view(1, 9, 1)  # class token -1
        >>> jigsaw_groups(tokens, prefix=1, parts=2, rearrange=False).squeeze()
        tensor([[-1.,  0.,  1.,  2.,  3.],
                [-1.,  4.,  5.,  6.,  7.]])
    """
    class_token, patches = tokens[:, :1], tokens[:, prefix:]
    length = patches.shape[1] // parts
    ordered = shuffle_patches(patches, shift=shift) if rearrange else patches
    runs = ordered[:, : parts * length].unflatten(1, (parts, length))
    return torch.cat([class_token.unsqueeze(1).expand(-1, parts, -1, -1), runs], dim=2)
