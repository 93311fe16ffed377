import pytest
import torch
from torch import nn

from vireid.engine.callbacks import WeightAverage


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def trained(steps):
    """The network after each step, as plain copies."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for _ in range(steps):
        model(torch.randn(8, 3)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        yield model


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_it_is_the_recursion_written_out(decay):
    averaged = WeightAverage(decay)
    averaged.start(network())
    expected = {name: value.clone() for name, value in network().state_dict().items()}
    for step, model in enumerate(trained(20), start=1):
        averaged.update(model, step)
        d = min(decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                expected[name] = d * expected[name] + (1 - d) * value
            else:
                expected[name] = value.clone()
    found = averaged.model.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)
    assert found["1.num_batches_tracked"] == 20
    assert not torch.allclose(found["0.weight"], model.state_dict()["0.weight"], rtol=1e-3)


def test_training_goes_on_as_without_it():
    alone = [{k: v.clone() for k, v in model.state_dict().items()} for model in trained(5)]
    averaged = WeightAverage(0.9)
    averaged.start(network())
    for before, (step, model) in zip(alone, enumerate(trained(5), start=1), strict=True):
        averaged.update(model, step)
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in averaged.model.parameters())
    assert not averaged.model.training
