from __future__ import annotations

import copy

import pytest
import torch

from vireid.layers.norms import ModalityNeck, frozen_shift_neck, l2_normalize


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


def necks(width: int, modality: torch.Tensor, rows: torch.Tensor):
    """`ModalityNeck` and its two halves as plain batch normalizations of the rows of one modality."""
    torch.manual_seed(0)
    neck = ModalityNeck(width).double()
    for half in (neck.visible, neck.infrared):
        torch.nn.init.normal_(half.weight)
    plain = copy.deepcopy(neck)
    out = torch.empty_like(rows)
    for kind, half in enumerate((plain.visible, plain.infrared)):
        out[modality == kind] = half(rows[modality == kind])
    return neck, plain, out


def test_modality_neck_equals_two_batch_normalizations():
    modality = torch.tensor([0, 1, 1, 0, 1, 0, 1])
    rows = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    neck, plain, expected = necks(5, modality, rows)
    ours = neck(rows, modality)
    torch.testing.assert_close(ours, expected)
    weights = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    grads = [
        torch.autograd.grad((out * weights).sum(), [rows, module.visible.weight, module.infrared.weight])
        for out, module in ((ours, neck), (expected, plain))
    ]
    torch.testing.assert_close(*grads)
    torch.testing.assert_close(neck.state_dict(), plain.state_dict())
    assert not neck.visible.bias.requires_grad
    with torch.no_grad():
        for kind, half in enumerate((plain.eval().visible, plain.infrared)):
            torch.testing.assert_close(neck.eval()(rows, modality)[modality == kind], half(rows[modality == kind]))


@pytest.mark.parametrize("count", [0, 1])
def test_a_modality_without_two_rows_leaves_its_running_averages(count):
    modality = torch.tensor([0, 0, 0, 0] + [1] * count)
    neck = ModalityNeck(3)
    before = {name: value.clone() for name, value in neck.infrared.state_dict().items()}
    rows = torch.randn(4 + count, 3, requires_grad=True)
    out = neck(rows, modality)
    out.sum().backward()
    assert out.isfinite().all()
    assert rows.grad.isfinite().all()
    torch.testing.assert_close(dict(neck.infrared.state_dict()), before)
    assert neck.visible.num_batches_tracked.item() == 1
    assert not torch.equal(neck.visible.running_mean, torch.zeros(3))


def test_a_frozen_modality_neck_uses_its_running_averages():
    neck = ModalityNeck(3)
    neck.visible.eval()
    neck.infrared.eval()
    rows = torch.randn(4, 3)
    torch.testing.assert_close(neck(rows, torch.tensor([0, 1, 0, 1])), rows / (1 + 1e-5) ** 0.5)
