from __future__ import annotations

import pytest
import torch

from vireid.layers.pooling import generalized_mean
from vireid.models.pooling import AveragePool, GeM, MaxPool

MAP = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, 4.0]]]])


def test_average_and_maximum():
    assert AveragePool()(MAP).tolist() == [[3.0, 1.0]]
    assert MaxPool()(MAP).tolist() == [[6.0, 4.0]]


def test_gem_has_the_exponent_it_was_given():
    torch.testing.assert_close(GeM(p=10)(MAP), generalized_mean(MAP, 10.0))
    torch.testing.assert_close(GeM()(MAP), generalized_mean(MAP, 3.0))
    assert "p=10.0" in repr(GeM(p=10))


@pytest.mark.parametrize("p", [0, -3.0])
def test_the_exponent_is_positive(p):
    with pytest.raises(ValueError, match="p must be above 0"):
        GeM(p=p)


def test_a_learned_exponent_is_state_and_stays_positive():
    pool = GeM(p=3.0, learn=True)
    assert pool.p.item() == pytest.approx(3)
    torch.testing.assert_close(pool(MAP), generalized_mean(MAP, 3.0, eps=0.0, floor=1e-6))
    optimizer = torch.optim.SGD(pool.parameters(), lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        pool(MAP).sum().backward()
        optimizer.step()
    assert 0 < pool.p.item() < 3
    other = GeM(learn=True)
    other.load_state_dict(pool.state_dict())
    assert torch.equal(other(MAP), pool(MAP))


def test_a_constant_exponent_is_no_state():
    assert GeM(p=3.0).state_dict() == {}
