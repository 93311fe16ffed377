from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vireid.losses.adversarial import ModalityConfusion, critic_scores, soft_cross_entropy

MODALITY = torch.tensor([0, 1, 1, 0, 1, 0, 0])
RATE, MOMENTUM, DECAY = 0.3, 0.9, 0.01


class Critic(nn.Module):
    """The released critic, as an ordinary module."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Linear(5, 4), nn.Linear(4, 2), nn.BatchNorm1d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.second(self.first(x)))


def pair(semantics: str):
    """The loss, and a module with the same weights that an optimizer of torch moves."""
    torch.manual_seed(0)
    loss = ModalityConfusion(
        semantics=semantics, hidden=4, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY, feature_dim=5
    ).double()
    critic = Critic().double()
    names = ("weight1", "bias1", "weight2", "bias2", "scale", "shift")
    with torch.no_grad():
        for name, parameter in zip(names, critic.parameters(), strict=True):
            parameter.copy_(loss.get_buffer(name))
    optimizer = torch.optim.SGD(critic.parameters(), lr=RATE, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY)
    return loss, critic, optimizer, names


def rows(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(7, 5, generator=generator, dtype=torch.float64).requires_grad_()


def crossed(scores: torch.Tensor, targets: list[list[float]]) -> torch.Tensor:
    """Soft cross-entropy by hand."""
    logs = scores.log_softmax(dim=1)
    return -sum(target[k] * row[k] for row, target in zip(logs, targets) for k in range(2)) / len(scores)


def step(critic, optimizer, x) -> None:
    optimizer.zero_grad()
    crossed(critic(x.detach()), [[1.0, 0.0] if m == 0 else [0.0, 1.0] for m in MODALITY.tolist()]).backward()
    optimizer.step()


HALF = [[0.5, 0.5]] * 7


@pytest.mark.parametrize("semantics", ["stale", "fresh"])
def test_equals_two_modules_and_two_optimizers_over_several_steps(semantics):
    loss, critic, optimizer, names = pair(semantics)
    for number in range(4):
        x, y = rows(number), rows(number)
        value = loss(x, MODALITY)
        value.backward()
        if semantics == "fresh":
            step(critic, optimizer, y)
        expected = crossed(critic(y), HALF)
        (grad,) = torch.autograd.grad(expected, y)
        if semantics == "stale":
            step(critic, optimizer, y)
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(x.grad, grad)
        for name, parameter in zip(names, critic.parameters(), strict=True):
            torch.testing.assert_close(loss.get_buffer(name), parameter.detach())


def test_legacy_is_the_closed_form():
    """MCLNet's released step: values and statistics of the old critic, weights of the new one."""
    loss, *_ = pair("legacy")
    loss(rows(0), MODALITY)  # momentum
    old, x = loss.critic(), rows(1)
    value = loss(x, MODALITY)
    value.backward()
    new = loss.critic()
    u = F.linear(F.linear(x, old["weight1"], old["bias1"]), old["weight2"], old["bias2"]).detach()
    inv = 1 / (u.var(dim=0, correction=0) + 1e-5).sqrt()
    xh = (u - u.mean(0)) * inv
    z = xh * old["scale"] + old["shift"]
    a = (z.softmax(dim=1) - 0.5) / 7 * new["scale"]
    gu = inv * (a - a.mean(0) - xh * (a * xh).mean(0))
    torch.testing.assert_close(x.grad, gu @ new["weight2"] @ new["weight1"])
    torch.testing.assert_close(value, crossed(z, HALF))


def test_the_three_forms_differ():
    grads = []
    for semantics in ("legacy", "stale", "fresh"):
        loss, x = pair(semantics)[0], rows(0)
        loss(x, MODALITY).backward()
        grads.append(x.grad / x.grad.norm())
    assert all((a * b).sum() < 0.999 for a, b in ((grads[0], grads[1]), (grads[0], grads[2]), (grads[1], grads[2])))


def test_the_critic_learns_and_nothing_but_features_gets_a_gradient():
    loss = ModalityConfusion(feature_dim=5).double()
    x = rows(0).detach()
    x[:, 0] += 4.0 * MODALITY
    before = loss.measure(x, MODALITY)["critic"].item()
    for _ in range(10):
        loss(x, MODALITY)
    assert loss.measure(x, MODALITY)["critic"].item() < before
    assert not list(loss.parameters())


def test_evaluation_moves_nothing():
    loss = ModalityConfusion(feature_dim=5).double().eval()
    before = copy.deepcopy(loss.state_dict())
    loss(rows(0), MODALITY)
    assert all(torch.equal(value, loss.state_dict()[name]) for name, value in before.items())


def test_momentum_is_state():
    first, second = (
        pair("fresh")[0],
        ModalityConfusion(
            semantics="fresh", hidden=4, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY, feature_dim=5
        ).double(),
    )
    first(rows(0), MODALITY)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for number in (1, 2):
        assert torch.equal(first(rows(number), MODALITY), second(rows(number), MODALITY))


def test_an_undecided_critic_costs_log_2():
    x = rows(0)
    scores = torch.zeros(7, 2, dtype=torch.float64)
    assert soft_cross_entropy(scores, torch.full_like(scores, 0.5)).item() == pytest.approx(math.log(2))
    weights = ModalityConfusion(feature_dim=5).double().critic() | {"scale": torch.zeros(2).double()}
    assert not critic_scores(x, weights, weights).any()


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r"semantics must be one of .*, got 'old'"):
        ModalityConfusion(semantics="old", feature_dim=5)
    with pytest.raises(ValueError, match="momentum in"):
        ModalityConfusion(momentum=1.0, feature_dim=5)
