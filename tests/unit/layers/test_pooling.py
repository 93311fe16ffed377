from __future__ import annotations

import itertools

import pytest
import torch

from vireid.layers.pooling import average, generalized_mean, maximum


def feature_map(dtype=torch.float64) -> torch.Tensor:
    return torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("p", [1.0, 2.5, 3.0, 10.0])
def test_equals_the_loop(p):
    x = feature_map()
    pooled = generalized_mean(x, p)
    for r in range(2):
        for c in range(3):
            expected = (sum(float(v) ** p for v in x[r, c].flatten()) / 20 + 1e-12) ** (1 / p)
            assert float(pooled[r, c]) == pytest.approx(expected, rel=1e-12)


def test_lies_between_average_and_maximum_and_grows_with_p():
    x = feature_map()
    values = [average(x), generalized_mean(x, 3), generalized_mean(x, 10), maximum(x)]
    for lower, upper in itertools.pairwise(values):
        assert (lower < upper).all()


@pytest.mark.parametrize(("p", "expected"), [(3.0, 1e-4), (10.0, 0.0631)])
def test_a_channel_of_zeros_pools_to_the_root_of_eps(p, expected):
    x = torch.zeros(1, 1, 2, 2, requires_grad=True)
    pooled = generalized_mean(x, p)
    assert pooled.item() == pytest.approx(expected, rel=1e-3)
    pooled.sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))


@pytest.mark.parametrize("pool", [generalized_mean, average, maximum])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_pooled_in_float32(pool, dtype):
    """50^3 and 50^10 do not fit into float16."""
    x = torch.full((1, 2, 3, 3), 50.0, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = pool(x)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, torch.full((1, 2), 50.0))


def test_gradients_of_the_cube_equal_those_of_the_power():
    x = feature_map().requires_grad_()
    general = (x.flatten(2).pow(torch.tensor(3.0)).mean(-1) + 1e-12).pow(1 / 3)
    (expected,) = torch.autograd.grad(general.sum(), x)
    (ours,) = torch.autograd.grad(generalized_mean(x, 3).sum(), x)
    torch.testing.assert_close(ours, expected)


def test_a_floor_raises_what_is_below():
    x = feature_map() - 0.5
    torch.testing.assert_close(generalized_mean(x, 2.5, floor=0.1), generalized_mean(x.clamp_min(0.1), 2.5))


def test_an_exponent_that_is_a_tensor_gets_its_gradient():
    p = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: generalized_mean(feature_map(), p), (p,))
    torch.testing.assert_close(generalized_mean(feature_map(), p), generalized_mean(feature_map(), 3.0))
