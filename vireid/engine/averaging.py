"""A moving average of a network's weights, which often retrieves better than the weights themselves."""

from __future__ import annotations

import copy

import torch
from torch import nn


class AveragedWeights:
    """Exponential moving average of parameters and floating buffers; `model` is a network like the one averaged.

    After step t (from 1) the average is d average + (1 - d) weights with d = min(decay, (1 + t) / (10 + t)): the ramp
    lets it leave the initial weights behind. Integer buffers are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        assert 0 < decay < 1
        self.model, self.decay = copy.deepcopy(model).eval().requires_grad_(False), decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after `step` optimisation steps."""
        own, new = self.model.state_dict(), model.state_dict()
        decay = min(self.decay, (1 + step) / (10 + step))
        floating = [name for name, value in own.items() if value.is_floating_point()]
        torch._foreach_lerp_([own[name] for name in floating], [new[name] for name in floating], 1 - decay)  # type: ignore
        for name in own.keys() - set(floating):
            own[name].copy_(new[name])
