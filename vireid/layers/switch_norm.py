"""Switchable normalisation of a short vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SwitchNorm(nn.Module):
    """Mixes the statistics of each row with those of the batch, by weights that are learned.

    Shapes: (R, A) -> (R, A), A >= 2. Mean and variance are softmax mixtures of the row's own (over its A entries) and
    the batch's (for each entry); variances divide by n - 1, so a training batch of one row has none and gives NaN.
    In evaluation the batch's part are running averages, new = 0.997 old + 0.003 batch.
    Source: "SwitchNorm1d" in PAENet as released, where both averages start at 0, the variance too; no departure. About
    1000 steps pass before they are of use. Attributes are cast to the type of the weights.
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
        of_mean, of_var = self.mean_weight.softmax(0), self.var_weight.softmax(0)
        mean = of_mean[0] * mean + of_mean[1] * batch_mean
        var = of_var[0] * var + of_var[1] * batch_var
        return (rows - mean) / (var + self.eps).sqrt() * self.weight + self.bias
