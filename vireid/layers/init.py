"""Weight initialization shared by several methods."""

from __future__ import annotations

from torch import nn


def classifier(width: int, classes: int, *, bias: bool = False) -> nn.Linear:
    """Build a linear classifier with weights from N(0, 0.001) and, with `bias`, a bias of 0.

    Source:
        HCT, MMD-ReID and AGW as released (bias only in HCT's stripe classifiers).
    """
    linear = nn.Linear(width, classes, bias=bias)
    nn.init.normal_(linear.weight, 0.0, 0.001)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear
