from __future__ import annotations

import torch

from vireid.layers.norms import frozen_shift_neck, l2_normalize


def test_rows_have_length_1_however_short_they_were():
    x = torch.tensor([[3.0, 4.0], [1e-30, 0.0], [-2e20, 0.0]], dtype=torch.float64)
    expected = torch.tensor([[0.6, 0.8], [1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(l2_normalize(x), expected)


def test_a_zero_row_stays_zero_with_a_finite_gradient():
    x = torch.zeros(2, 3, requires_grad=True)
    y = l2_normalize(x)
    assert torch.equal(y, torch.zeros(2, 3))
    y.sum().backward()
    assert x.grad.isfinite().all()


def test_the_last_axis_is_the_vector():
    x = torch.randn(2, 5, 7)
    torch.testing.assert_close(l2_normalize(x).square().sum(-1), torch.ones(2, 5))


def test_the_neck_has_a_shift_that_is_kept_but_never_trained():
    torch.manual_seed(0)
    neck = frozen_shift_neck(4096)
    assert not neck.bias.requires_grad
    assert not neck.bias.any()
    assert "bias" in neck.state_dict()
    assert abs(float(neck.weight.detach().mean()) - 1) < 1e-3
    assert abs(float(neck.weight.detach().std()) - 0.01) < 1e-3
