"""Gradient checkpointing: recompute a module in the backward pass instead of storing its activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def run_checkpointed(function: Callable[[Tensor], Tensor], x: Tensor, module: nn.Module | None = None) -> Tensor:
    """Apply a function and recompute it in the backward pass; the gradients are the same.

    Args:
        function: Function without side effects, except for the batch statistics of `module`.
        x: Input.
        module: Module whose BatchNorm layers shall update their running statistics once, not again in the backward
            pass.
    """
    if module is None:
        return checkpoint(function, x, use_reentrant=False)  # type: ignore[return-value]
    return checkpoint(  # type: ignore[return-value]
        function, x, use_reentrant=False, context_fn=lambda: (nullcontext(), kept_statistics(module))
    )


@contextmanager
def kept_statistics(module: nn.Module) -> Iterator[None]:
    """Compute BatchNorm layers in training mode without updating their running statistics."""
    tracking = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    for layer in tracking:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in tracking:
            layer.track_running_stats = True
