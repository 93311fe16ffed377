"""Switchable normalisation, against a loop."""

import statistics

import pytest
import torch

from vireid.layers.switch_norm import SwitchNorm


@pytest.fixture
def norm():
    torch.manual_seed(0)
    norm = SwitchNorm(4).double()
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return norm


def test_training_mixes_row_and_batch_statistics(norm):
    rows = torch.rand(5, 4).double()
    result = norm(rows)
    a, b = norm.mean_weight.softmax(0).tolist(), norm.var_weight.softmax(0).tolist()
    for i in range(5):
        for j in range(4):
            row, column = rows[i].tolist(), rows[:, j].tolist()
            mean = a[0] * statistics.mean(row) + a[1] * statistics.mean(column)
            var = b[0] * statistics.variance(row) + b[1] * statistics.variance(column)
            expected = (rows[i, j] - mean) / (var + 1e-5) ** 0.5 * norm.weight[0, j] + norm.bias[0, j]
            torch.testing.assert_close(result[i, j], expected)


def test_evaluation_uses_averages_that_start_at_nothing(norm):
    rows = torch.rand(5, 4).double()
    assert not norm.running_mean.any()
    assert not norm.running_var.any()
    norm(rows)
    torch.testing.assert_close(norm.running_mean, 0.003 * rows.mean(0, keepdim=True))
    torch.testing.assert_close(norm.running_var, 0.003 * rows.var(0, keepdim=True))
    norm.eval()
    torch.testing.assert_close(norm(rows)[:2], norm(rows[:2]))
