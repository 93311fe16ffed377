"""Soft ranks against a plain projection, ranks, sums, gradients and masks."""

import pytest
import torch

from vireid.core.errors import ArgumentError
from vireid.layers.soft_rank import soft_rank


def naive(row: list[float], strength: float) -> list[float]:
    """Pool adjacent violators, one number after another."""
    number = len(row)
    order = sorted(range(number), key=lambda i: -row[i])
    blocks: list[tuple[float, int]] = []
    for place, i in enumerate(order):
        mean, count = row[i] / strength - (number - place), 1
        while blocks and blocks[-1][0] < mean:
            before, many = blocks.pop()
            mean, count = (mean * count + before * many) / (count + many), count + many
        blocks.append((mean, count))
    fit = [mean for mean, count in blocks for _ in range(count)]
    ranks = [0.0] * number
    for i, value in zip(order, fit):
        ranks[i] = row[i] / strength - value
    return ranks


@pytest.mark.parametrize("strength", [2.0, 0.3, 0.02, 0.001])
def test_equals_the_pooling_of_adjacent_violators(strength):
    values = torch.rand(6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.tensor([naive(row, strength) for row in values.tolist()], dtype=torch.float64)
    ranks = soft_rank(values, strength=strength)
    torch.testing.assert_close(ranks, expected)
    torch.testing.assert_close(ranks.sum(dim=1), torch.full((6,), 45.0, dtype=torch.float64))
    torch.testing.assert_close(soft_rank(values.float(), strength=strength).double(), expected, rtol=1e-4, atol=1e-4)


def test_a_small_strength_gives_ranks():
    values = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(soft_rank(values.float(), strength=0.5), values + 1.0)


@pytest.mark.parametrize("strength", [0.5, 0.07])
def test_gradients(strength):
    values = torch.rand(3, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: soft_rank(x, strength=strength), values)


def test_entries_that_are_not_valid_have_no_effect():
    values = torch.rand(4, 6, generator=torch.Generator().manual_seed(3))
    valid = torch.tensor([True, False, True, True, False, True])
    ranks = soft_rank(values, strength=0.1, valid=valid)
    torch.testing.assert_close(ranks[:, valid], soft_rank(values[:, valid], strength=0.1))
    assert not ranks[:, ~valid].any()
    changed = torch.where(valid, values, 1e6)
    torch.testing.assert_close(soft_rank(changed, strength=0.1, valid=valid), ranks)


def test_rows_without_a_valid_entry_are_zero():
    assert not soft_rank(torch.rand(2, 3), valid=torch.zeros(2, 3, dtype=torch.bool)).any()


@pytest.mark.parametrize("strength", [0, -1.0])
def test_wrong_strength(strength):
    with pytest.raises(ArgumentError, match="strength must be above 0"):
        soft_rank(torch.rand(2, 3), strength=strength)
