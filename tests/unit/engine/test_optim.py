import pytest
import torch
from torch import nn

from vireid.core.errors import ConfigError
from vireid.engine.optim import (
    SGD,
    SharedFloorCosine,
    WarmupCosine,
    WarmupSteps,
    apply_schedule,
    parameter_groups,
    set_learning_rate,
)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(2, 3)
        self.heads = nn.ModuleDict({"id": nn.Linear(3, 4)})


class Graph(nn.Module):
    def __init__(self):
        super().__init__()
        self.graph = nn.Linear(2, 2)


def test_groups_take_the_longest_path_and_leave_out_frozen_parameters():
    net, objective = Net(), Graph()
    net.heads["id"].bias.requires_grad_(False)
    groups = parameter_groups(net, objective, {"backbone": 0.1, "objective": 0.5, "objective.graph.bias": 2.0})
    assert [(group["scale"], [tuple(p.shape) for p in group["params"]]) for group in groups] == [
        (0.1, [(3, 2), (3,)]),
        (0.5, [(2, 2)]),
        (1.0, [(4, 3)]),
        (2.0, [(2,)]),
    ]


def test_a_path_without_parameters_is_named_with_the_nearest():
    with pytest.raises(ConfigError) as error:
        parameter_groups(Net(), Graph(), {"bakbone": 0.1})
    assert str(error.value) == (
        "SOLVER.LR_SCALE: no trainable parameter lies under 'bakbone'; did you mean 'backbone'? "
        "(top level: backbone, heads, objective)"
    )


def test_a_negative_factor_is_refused():
    with pytest.raises(ConfigError) as error:
        parameter_groups(Net(), Graph(), {"backbone": -0.5, "heads": 0.0})
    assert str(error.value) == "SOLVER.LR_SCALE.backbone = -0.5 is below 0"


def test_each_group_gets_base_times_scale_times_factor():
    optimizer = SGD(parameter_groups(Net(), nn.Identity(), {"backbone": 0.1}), lr=0.2)
    assert set_learning_rate(optimizer, 0.5) == pytest.approx(0.1)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.01, 0.1])


def test_a_schedule_refuses_drops_in_the_warmup():
    with pytest.raises(ValueError, match=r"drops must be ascending epochs from 10"):
        WarmupSteps(warmup=10, drops=(5, 50))


def test_cosine_starts_ramps_and_ends_at_its_floor():
    schedule = WarmupCosine(warmup=2, epochs=10, floor=0.05)
    factors = [schedule(epoch) for epoch in range(10)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[-1] == pytest.approx(0.05)
    assert factors[2:] == sorted(factors[2:], reverse=True)


def test_released_groups_of_a_backbone_and_a_head():
    """Backbone at a tenth, everything else at the full rate: the whole curve over 61 epochs, from its definition."""
    optimizer = SGD(parameter_groups(Net(), nn.Identity(), {"backbone": 0.1}), lr=0.1)
    schedule = WarmupSteps()
    for epoch in range(61):
        set_learning_rate(optimizer, schedule(epoch))
        full = 0.1 * (epoch + 1) / 10 if epoch < 10 else 0.1 if epoch < 20 else 0.01 if epoch < 50 else 0.001
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([full * 0.1, full], abs=1e-12)
    assert isinstance(optimizer, torch.optim.Optimizer)


def test_a_factor_that_longer_paths_cover_is_refused():
    covering = {name: 0.5 for name, _ in Net().named_parameters() if name.startswith("backbone.")}
    with pytest.raises(ConfigError, match=r"SOLVER\.LR_SCALE: 'backbone' has no effect, because longer paths"):
        parameter_groups(Net(), nn.Identity(), {"backbone": 0.1, **covering})


def test_the_shared_floor_is_the_same_rate_in_every_group():
    optimizer = SGD(parameter_groups(Net(), nn.Identity(), {"backbone": 0.5}), lr=0.2)
    schedule = SharedFloorCosine(warmup=3, epochs=8, start=0.1, floor=0.05)
    rates = []
    for epoch in range(9):
        assert apply_schedule(optimizer, schedule, epoch) == optimizer.param_groups[1]["lr"]
        rates.append([group["lr"] for group in optimizer.param_groups])
    assert rates[0] == pytest.approx([0.02 + (0.1 - 0.02) / 3, 0.02 + (0.2 - 0.02) / 3])
    assert rates[3] == pytest.approx([0.01 + (0.1 - 0.01) / 2, 0.01 + (0.2 - 0.01) / 2])  # half of the cosine
    assert rates[7] == rates[8] == pytest.approx([0.01, 0.01])


def test_no_group_exceeds_its_rate_by_the_floor():
    schedule = SharedFloorCosine(warmup=3, epochs=8, start=0.1, floor=0.05)
    assert all(schedule.for_scale(epoch, 0.0) == 0.0 for epoch in range(9))
    assert all(schedule.for_scale(epoch, 0.01) <= 0.01 for epoch in range(9))


@pytest.mark.parametrize("wrong", [{"warmup": 8, "epochs": 8}, {"start": 1.5}, {"floor": -0.1}])
def test_the_shared_floor_checks_its_arguments(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SharedFloorCosine(**wrong)
