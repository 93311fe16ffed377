from __future__ import annotations

import pytest
import torch
from torch import nn

from vireid.layers.non_local import NonLocal, NonLocalBlock
from vireid.testing import fill_zeros


def block(channels: int = 5) -> NonLocalBlock:
    torch.manual_seed(0)
    module = NonLocal(count=1).build(channels).double()
    fill_zeros(module)
    return module


def by_affinity(module: NonLocalBlock, x: torch.Tensor) -> torch.Tensor:
    """As the release computes it: an N x N affinity, divided by N, applied to g."""
    rows, _, height, width = x.shape
    theta, phi, g = (
        nn.functional.conv2d(x, module.inner.weight[i : i + 1], module.inner.bias[i : i + 1]).flatten(1)
        for i in range(3)
    )
    affinity = theta.unsqueeze(2) * phi.unsqueeze(1) / (height * width)
    answer = (affinity @ g.unsqueeze(2)).view(rows, 1, height, width)
    return x + module.norm(module.project(answer))


@pytest.mark.parametrize("mode", [True, False])
def test_equals_the_affinity_of_all_pairs_of_positions(mode):
    module = block().train(mode)
    x = torch.randn(3, 5, 4, 3, dtype=torch.float64, requires_grad=True)
    ours, naive = module(x), by_affinity(module, x)
    torch.testing.assert_close(ours, naive)
    weights = torch.randn_like(x)
    wanted = [x, *module.parameters()]
    grads = [torch.autograd.grad((value * weights).sum(), wanted, retain_graph=True) for value in (ours, naive)]
    torch.testing.assert_close(*grads, rtol=1e-6, atol=1e-9)


def test_starts_as_the_identity_without_gradients_of_the_convolutions():
    module = NonLocalBlock(6)
    x = torch.randn(2, 6, 4, 2)
    result = module(x)
    assert torch.equal(result, x)
    result.square().sum().backward()
    assert not module.inner.weight.grad.any()
    assert module.norm.weight.grad.any()


def test_memory_grows_with_the_positions_not_with_their_square():
    with torch.device("meta"):
        assert NonLocalBlock(2)(torch.zeros(1, 2, 2000, 2000)).shape == (1, 2, 2000, 2000)
    x = torch.rand(1, 2, 300, 300)  # the affinity of all pairs would be 32 GB
    assert NonLocalBlock(2)(x).shape == x.shape


def test_channels_last_stays():
    x = torch.randn(2, 8, 4, 3).to(memory_format=torch.channels_last)
    module = NonLocalBlock(8).to(memory_format=torch.channels_last)
    assert module(x).is_contiguous(memory_format=torch.channels_last)


def test_count_is_positive():
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        NonLocal(count=0)
