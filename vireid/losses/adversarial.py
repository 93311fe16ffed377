"""MCLNet's modality confusion: a critic tells the modalities apart, the features learn to leave it undecided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.registries import LOSSES
from vireid.core.types import Modality
from vireid.layers.processes import mean_over_processes

Semantics = Literal["legacy", "stale", "fresh"]
Weights = Mapping[str, Tensor]

EPS = 1e-5  # under the root of the deviation, as in batch normalisation


@LOSSES.register
class ModalityConfusion(nn.Module):
    """A critic learns which modality a row is of; features learn to make it answer half and half.

    Shapes: features (R, D), modality (R,) -> scalar: the mean over rows of the cross-entropy between the critic's two
    scores and (1/2, 1/2). The critic, two linear layers without an activation and a batch normalisation with the
    statistics of the batch, is a state of this loss: buffers, no parameters of the run's optimizer. Each training step
    first moves it, by its own SGD with Nesterov momentum at a constant rate, on the cross-entropy with the true
    modality of the detached features; gradients of the loss then reach the features alone. So the backward pass of the
    step goes through the network once (the release's goes through it twice, and throws the first away).

    `semantics` says which critic confuses, D before or D' after its step:
      legacy  values (scores, their statistics) of D, slopes (weights) of D': what the release computes with the torch
              1.2 that it asks for, whose optimizers change weights behind autograd's back. Its statements raise an
              error on today's torch, so this form is an emulation
      stale   D throughout: as if the confusion were computed before the critic's step
      fresh   D' throughout: adversarial training as in textbooks
    Source: MCLNet (ICCV 2021), released code: hidden width 128, rate 0.1, momentum 0.9, weight decay 5e-4. Departs: the
    release also keeps running statistics and a third layer; neither has an effect, and they are not kept here. With
    several processes the critic's gradient is their mean, so that all have the same critic; the statistics of its
    normalisation are each one's own, unless GATHER_FEATURES is on.
    """

    def __init__(
        self,
        *,
        semantics: Semantics = "legacy",
        hidden: int = 128,
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        feature_dim: int,
    ) -> None:
        super().__init__()
        if semantics not in get_args(Semantics):
            raise ValueError(f"semantics must be one of {get_args(Semantics)}, got {semantics!r}")
        if hidden < 1 or lr < 0 or not 0 <= momentum < 1 or weight_decay < 0:
            raise ValueError(
                f"hidden must be at least 1, lr and weight_decay at least 0, momentum in [0, 1); got {hidden}, {lr}, "
                f"{weight_decay} and {momentum}"
            )
        self.semantics, self.lr, self.momentum, self.weight_decay = semantics, lr, momentum, weight_decay
        first, second = nn.Linear(feature_dim, hidden), nn.Linear(hidden, 2)
        starts = {
            "weight1": first.weight,
            "bias1": first.bias,
            "weight2": second.weight,
            "bias2": second.bias,
            "scale": torch.ones(2),
            "shift": torch.zeros(2),
        }
        self.names = tuple(starts)
        for name, value in starts.items():
            self.register_buffer(name, value.detach().clone())
            self.register_buffer(f"{name}_momentum", torch.zeros_like(value))

    def critic(self) -> dict[str, Tensor]:
        """A copy of the critic's weights."""
        return {name: self.get_buffer(name).clone() for name in self.names}

    def forward(self, features: Tensor, modality: Tensor) -> Tensor:
        before = self.critic()
        if self.training:
            self._step(before, features.detach(), modality)
        after = self.critic()
        values, slopes = {"legacy": (before, after), "stale": (before, before), "fresh": (after, after)}[self.semantics]
        scores = critic_scores(features, values, slopes)
        return soft_cross_entropy(scores, torch.full_like(scores, 0.5))

    def measure(self, features: Tensor, modality: Tensor) -> dict[str, Tensor]:
        """How well the critic tells the modalities apart: log 2 = 0.69 where it cannot."""
        return {"critic": self._critic_loss(self.critic(), features, modality)}

    def _step(self, weights: Weights, features: Tensor, modality: Tensor) -> None:
        """One step of the critic on rows that carry no graph."""
        with torch.enable_grad():
            leaves = {name: value.detach().requires_grad_() for name, value in weights.items()}
            loss = self._critic_loss(leaves, features, modality)
            grads = torch.autograd.grad(loss, list(leaves.values()))
        with torch.no_grad():
            for name, grad in zip(self.names, mean_over_processes(grads), strict=True):
                value, velocity = self.get_buffer(name), self.get_buffer(f"{name}_momentum")
                grad = grad + self.weight_decay * value
                velocity.mul_(self.momentum).add_(grad)
                value.sub_(self.lr * (grad + self.momentum * velocity))

    @staticmethod
    def _critic_loss(weights: Weights, features: Tensor, modality: Tensor) -> Tensor:
        truth = torch.stack([modality == Modality.VISIBLE, modality == Modality.INFRARED], dim=1)
        scores = critic_scores(features, weights, weights)
        return soft_cross_entropy(scores, truth.to(scores.dtype))


def soft_cross_entropy(scores: Tensor, target: Tensor) -> Tensor:
    """Mean over rows of - sum target log softmax(scores): (R, K), (R, K) -> scalar."""
    return F.cross_entropy(scores, target)


def critic_scores(features: Tensor, values: Weights, slopes: Weights) -> Tensor:
    """(R, D) -> (R, 2): what the critic `values` answers, with the derivative that `slopes` has at those values."""

    def answers(weights: Weights) -> Tensor:
        hidden = F.linear(features, weights["weight1"], weights["bias1"])
        return F.linear(hidden, weights["weight2"], weights["bias2"])

    raw = _graft(answers(values), answers(slopes))
    variance, mean = torch.var_mean(raw, dim=0, correction=0)
    normal = (raw - mean) * torch.rsqrt(variance + EPS)
    return _graft(*(normal * weights["scale"] + weights["shift"] for weights in (values, slopes)))


def _graft(value: Tensor, slope: Tensor) -> Tensor:
    """The value of one tensor with the derivative of another; the same tensor twice gives it back."""
    return slope + (value - slope).detach()
