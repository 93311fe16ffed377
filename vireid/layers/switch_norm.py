"""Switchable normalization of vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SwitchNorm(nn.Module):
    """Switchable normalization: learned mixture of the statistics of each row and of the batch.

    Mean and variance are softmax mixtures of those of the row (over its A entries) and of the batch (for each entry).
    Variances divide by n - 1, so that a training batch of one row gives NaN. In evaluation the statistics of the batch
    are running averages, new = 0.997 old + 0.003 batch. Inputs are cast to the type of the weights.

    Args:
        width: Number of entries A, at least 2.
        momentum: Weight of the old running average.
        eps: Added to the variance.

    Shape:
        (R, A) -> (R, A).

    Source:
        "SwitchNorm1d" of PAENet as released, where both running averages start at 0, also the variance. They are not
        usable before about 1000 steps.

    Departs:
        Not in any number.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, *, momentum: float = 0.997, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(1, width))
        self.bias = nn.Parameter(torch.zeros(1, width))
        self.mean_weight = nn.Parameter(torch.ones(2))
        self.var_weight = nn.Parameter(torch.ones(2))
        self.register_buffer("running_mean", torch.zeros(1, width))
        self.register_buffer("running_var", torch.zeros(1, width))

    def forward(self, rows: Tensor) -> Tensor:
        rows = rows.to(self.weight.dtype)
        var, mean = torch.var_mean(rows, dim=1, keepdim=True)
        if self.training:
            batch_var, batch_mean = torch.var_mean(rows, dim=0, keepdim=True)
            with torch.no_grad():
                self.running_mean.lerp_(batch_mean, 1 - self.momentum)
                self.running_var.lerp_(batch_var, 1 - self.momentum)
        else:
            batch_mean, batch_var = self.running_mean, self.running_var
        mean_mix, var_mix = self.mean_weight.softmax(0), self.var_weight.softmax(0)
        mean = mean_mix[0] * mean + mean_mix[1] * batch_mean
        var = var_mix[0] * var + var_mix[1] * batch_var
        return (rows - mean) / (var + self.eps).sqrt() * self.weight + self.bias
