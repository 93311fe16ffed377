from __future__ import annotations

import torch
from torch import nn

from vireid.layers.parts import PartLinear


def test_each_part_has_its_own_linear_layer():
    layer, rows = PartLinear(3, 4, 2), torch.randn(5, 3, 4)
    for part, result in enumerate(layer(rows).unbind(1)):
        expected = nn.functional.linear(rows[:, part], layer.weight[part], layer.bias[part])
        torch.testing.assert_close(result, expected)


def test_starts_within_the_bounds_of_a_linear_layer():
    layer = PartLinear(6, 100, 50)
    for values in (layer.weight, layer.bias):
        assert values.abs().max() <= 0.1
        assert values.abs().max() > 0.09
