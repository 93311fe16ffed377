"""Tolerance of gradients that are mathematically zero.

A bias in front of a batch normalization has no effect in training: the gradients g_n that reach the layer's output add
up to zero over the batch. What is computed instead is rounding. Its size has nothing to do with the stored gradient
(about 1e-15, rounding of float64), it grows with the summands. With machine epsilon u, a sum of N numbers is wrong by
at most N u times the sum of |g_n| when it is added up in order, by about log2(N) u times that sum when it is added up
in pairs, and each g_n has a few roundings of its own. The order depends on the vector width of the processor. One fixed
number therefore holds on some processors only; `ROUNDINGS` x u x (sum of |g_n|) holds on all.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

ROUNDINGS = 32  # log2(N) for any N that fits into memory, and the roundings of the summands
ZERO = 1e-11  # of the sum of |g_n|: a stored float64 gradient below it is rounding


class ZeroGradients:
    """Watch the layers of a module that have a bias; give the tolerance of bias gradients that are mathematically zero.

    Make it before the forward pass, ask it after the backward pass.
    """

    def __init__(self, module: nn.Module) -> None:
        self.sums: dict[str, float] = {}  # name of a bias -> largest sum of |g_n| of its entries
        for name, layer in module.named_modules():
            if isinstance(getattr(layer, "bias", None), nn.Parameter):
                layer.register_forward_hook(partial(self._watch, f"{name}.bias" if name else "bias"))

    def tolerance(self, name: str, stored: np.ndarray, usual: Mapping[str, float], dtype: torch.dtype) -> dict:
        """`usual`, unless `name` is a bias whose stored float64 gradient is zero but for rounding."""
        scale = self.sums.get(name, 0.0)
        if np.abs(stored).max() > ZERO * scale:
            return dict(usual)
        return {**usual, "atol": max(usual.get("atol", 0.0), ROUNDINGS * torch.finfo(dtype).eps * scale)}

    def _watch(self, name: str, layer: nn.Module, inputs: object, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(partial(self._keep, name, layer))

    def _keep(self, name: str, layer: nn.Module, gradient: Tensor) -> None:
        channels = 1 if isinstance(layer, (_ConvNd, _BatchNorm)) else -1  # the axis of the entries of the bias
        summands = gradient.abs().movedim(channels, -1)
        self.sums[name] = summands.sum_to_size(layer.bias.shape).max().item()
