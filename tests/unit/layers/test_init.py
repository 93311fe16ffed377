from __future__ import annotations

import torch

from vireid.layers.init import classifier


def test_the_classifier_starts_near_zero_and_has_no_bias_unless_asked():
    torch.manual_seed(0)
    linear = classifier(512, 100)
    assert linear.weight.shape == (100, 512)
    assert linear.bias is None
    assert abs(float(linear.weight.detach().std()) - 0.001) < 5e-5
    assert not classifier(4, 2, bias=True).bias.any()
