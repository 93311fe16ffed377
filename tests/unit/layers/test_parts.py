from __future__ import annotations

import torch
from torch import nn

from vireid.layers.parts import PartLinear, masked_means


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


def test_masked_means_equal_the_loop():
    feature_map, masks = torch.randn(2, 4, 3, 2), torch.rand(2, 5, 3, 2)
    for row in range(2):
        for part in range(5):
            expected = (masks[row, part] * feature_map[row]).mean((1, 2))
            torch.testing.assert_close(masked_means(feature_map, masks)[row, part], expected)
