"""Reductions over processes for layers and losses that keep state."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed


def mean_over_processes(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """Average each tensor over all processes, without gradients; with one process the tensors are returned unchanged.

    Every process must call this equally often, with tensors of the same shapes in the same order.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return tensors
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    pieces = (flat / distributed.get_world_size()).split([tensor.numel() for tensor in tensors])
    return [piece.view_as(tensor) for piece, tensor in zip(pieces, tensors, strict=True)]
