from __future__ import annotations

import pytest
import torch

from vireid.models.heads.neck import NeckHead


def test_the_neck_starts_as_a_plain_normalisation_whose_shift_never_moves():
    head = NeckHead(channels=3).double()
    pooled = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fields = head(pooled)
    assert set(fields) == head.provides
    assert fields["features"] is pooled
    for column in range(3):
        values = pooled[:, column]
        expected = (values - values.mean()) / (values.var(unbiased=False) + 1e-5).sqrt()
        torch.testing.assert_close(fields["features_bn"][:, column], expected)
    assert torch.equal(head.neck.weight.detach(), torch.ones(3, dtype=torch.float64))
    assert [name for name, value in head.named_parameters() if value.requires_grad] == ["neck.weight"]


def test_wrong_widths():
    with pytest.raises(ValueError, match="channels must be at least 1, got 0"):
        NeckHead(channels=0)


def test_random_scales_have_the_mean_1_and_the_given_deviation():
    torch.manual_seed(0)
    scales = NeckHead(scale_std=0.01, channels=4000).neck.weight.detach()
    assert abs(float(scales.mean()) - 1) < 1e-3
    assert abs(float(scales.std()) - 0.01) < 1e-3
    with pytest.raises(ValueError, match=r"scale_std must be at least 0, got -0\.1"):
        NeckHead(scale_std=-0.1, channels=3)
