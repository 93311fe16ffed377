"""Named parts that stop learning: which parameters, from when on, and what stays as it is."""

import pytest
import torch
from torch import nn

from vireid.core.errors import ConfigError
from vireid.engine.callbacks import FreezeParts
from vireid.engine.optim import SGD, parameter_groups


@pytest.fixture
def parts():
    torch.manual_seed(0)
    model = nn.ModuleDict({"adapter": nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), "head": nn.Linear(3, 2)})
    return model, nn.ModuleDict({"graph": nn.Linear(2, 1)})


def learning(parts):
    return {name for each in parts for name, parameter in each.named_parameters() if parameter.requires_grad}


def test_parts_freeze_when_their_epochs_are_over(parts):
    freezing = FreezeParts({"adapter.0": 2, "objective.graph.bias": 3})
    freezing.find(*parts)
    assert not freezing.apply(0)
    assert not freezing.apply(1)
    assert freezing.apply(2)
    assert learning(parts) == {"adapter.1.weight", "adapter.1.bias", "head.weight", "head.bias"} | {
        "graph.weight",
        "graph.bias",
    }
    assert not freezing.apply(2), "nothing new"
    assert freezing.apply(3)
    assert "graph.bias" not in learning(parts)
    assert "graph.weight" in learning(parts)


def test_a_run_that_begins_later_freezes_the_same(parts):
    freezing = FreezeParts({"adapter": 2})
    freezing.find(*parts)
    assert freezing.apply(5)
    assert not any(name.startswith("adapter") for name in learning(parts))


def test_a_frozen_part_keeps_weights_momentum_and_statistics(parts):
    model, objective = parts
    optimizer = SGD(parameter_groups(model, objective, {}), lr=0.1)
    freezing = FreezeParts({"adapter": 1})
    freezing.find(model, objective)

    def step(epoch):
        freezing.apply(epoch)
        model.train()
        freezing.freeze_batchnorm()
        optimizer.zero_grad(set_to_none=True)
        rows = torch.randn(4, 3)
        objective["graph"](model["head"](model["adapter"](rows))).square().sum().backward()
        optimizer.step()
        return {name: value.clone() for name, value in model.state_dict().items()}

    first, second, third = step(0), step(1), step(1)
    assert any(not torch.equal(first[name], second[name]) for name in first if name.startswith("head"))
    for name in first:
        if name.startswith("adapter"):
            assert torch.equal(first[name], second[name]), name
            assert torch.equal(first[name], third[name]), name


def test_a_part_is_trained_again_after_its_pair(parts):
    """As in fine-tuning; parameters that were never trainable stay frozen."""
    parts[0]["adapter"][1].bias.requires_grad_(False)
    freezing = FreezeParts({"adapter": (0, 2), "adapter.0": 3})
    freezing.find(*parts)
    assert freezing.apply(0)
    assert not any(name.startswith("adapter") for name in learning(parts))
    assert not freezing.apply(1)
    assert freezing.apply(2)
    assert {"adapter.0.weight", "adapter.1.weight"} <= learning(parts)
    assert "adapter.1.bias" not in learning(parts)
    assert freezing.apply(3)
    assert "adapter.0.weight" not in learning(parts)
    assert "adapter.1.weight" in learning(parts)


@pytest.mark.parametrize(
    ("freeze", "text"),
    [
        ({"adaptr": 1}, "SOLVER.FREEZE: no trainable parameter lies under 'adaptr'; did you mean 'adapter'?"),
        ({"adapter": -1}, "SOLVER.FREEZE.adapter = -1 is below 0"),
        ({"adapter": (3, 3)}, "SOLVER.FREEZE.adapter = [3, 3] freezes no epoch"),
        ({"adapter": 2, "head": (1, 4), "objective": 0}, "SOLVER.FREEZE leaves nothing to train in epoch 2"),
    ],
)
def test_what_is_refused(parts, freeze, text):
    with pytest.raises(ConfigError) as caught:
        FreezeParts(freeze).find(*parts)
    assert text in str(caught.value)
