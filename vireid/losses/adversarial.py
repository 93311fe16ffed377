"""Adversarial modality confusion (MCLNet)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import LOSSES
from vireid.core.types import Modality
from vireid.layers.processes import mean_over_processes

Semantics = Literal["legacy", "stale", "fresh"]
Weights = Mapping[str, Tensor]

EPS = 1e-5  # added to the variance, as in batch normalization


@LOSSES.register
class ModalityConfusion(nn.Module):
    """Adversarial modality confusion loss.

    Train the features so that the modality discriminator outputs a uniform distribution.

    The discriminator (critic) has two linear layers without an activation and a batch normalization with the
    statistics of the batch. Its weights are buffers of this loss, not parameters of the optimizer of the run. Each
    training step first updates the critic by SGD with Nesterov momentum on the cross-entropy with the true modality of
    the detached features. The gradients of the loss then reach the features only, so that one backward pass through
    the network is enough. The released code needs two and discards the first.

    With several processes the gradient of the critic is averaged, so that all processes hold the same critic. The
    batch-normalization statistics are those of each process, unless GATHER_FEATURES is on.

    Args:
        semantics: Critic that computes the loss, D before its update or D' after it. "legacy": values (logits and batch
            statistics) of D, derivatives (weights) of D'. This emulates the released code under torch 1.2, whose
            optimizers change weights without autograd noticing. Current torch raises an error. "stale": D for both, as
            if the loss were computed before the update of the critic. "fresh": D' for both, as in textbook adversarial
            training.
        hidden: Width of the hidden layer.
        lr: Constant learning rate of the critic.
        momentum: Nesterov momentum of the critic.
        weight_decay: Weight decay of the critic.
        feature_dim: Width D of the features.

    Shape:
        features (R, D), modality (R,) -> scalar, the mean over rows of the cross-entropy between the two logits of the
        critic and the target (1/2, 1/2).

    Source:
        Hao et al., "Cross-Modality Person Re-Identification via Modality Confusion and Center Aggregation" (MCLNet),
        ICCV 2021; released code, whose values are the defaults.

    Departs:
        The released code also keeps running statistics and a third layer. Neither has an effect; both are left out.

    Example:
        >>> loss = ModalityConfusion(feature_dim=4).eval()
        >>> loss(torch.ones(4, 4), modality=torch.tensor([0, 0, 1, 1]))  # equal rows: the critic outputs 1/2, log 2
        tensor(0.6931)
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
            raise ArgumentError("semantics", f"must be one of {get_args(Semantics)}, got {semantics!r}")
        if hidden < 1 or lr < 0 or not 0 <= momentum < 1 or weight_decay < 0:
            raise ValueError(
                f"hidden must be at least 1, lr and weight_decay at least 0, momentum in [0, 1); got {hidden}, {lr}, "
                f"{weight_decay} and {momentum}"
            )
        self.semantics, self.lr, self.momentum, self.weight_decay = semantics, lr, momentum, weight_decay
        first, second = nn.Linear(feature_dim, hidden), nn.Linear(hidden, 2)
        initial = {
            "weight1": first.weight,
            "bias1": first.bias,
            "weight2": second.weight,
            "bias2": second.bias,
            "scale": torch.ones(2),
            "shift": torch.zeros(2),
        }
        self.names = tuple(initial)
        for name, value in initial.items():
            self.register_buffer(name, value.detach().clone())
            self.register_buffer(f"{name}_momentum", torch.zeros_like(value))

    def critic(self) -> dict[str, Tensor]:
        """Copy the weights of the critic."""
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
        """Compute the cross-entropy of the critic, for the log; log 2 = 0.69 if it cannot separate the modalities."""
        return {"critic": self._critic_loss(self.critic(), features, modality)}

    def _step(self, weights: Weights, features: Tensor, modality: Tensor) -> None:
        """Update the critic once, on detached features."""
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
    """Cross-entropy with soft targets, averaged over rows: (R, K), (R, K) -> scalar."""
    return F.cross_entropy(scores, target)


def critic_scores(features: Tensor, values: Weights, slopes: Weights) -> Tensor:
    """Logits of the critic, (R, D) -> (R, 2), with the values of one set of weights and the derivative of another."""

    def logits(weights: Weights) -> Tensor:
        hidden = F.linear(features, weights["weight1"], weights["bias1"])
        return F.linear(hidden, weights["weight2"], weights["bias2"])

    raw = _graft(logits(values), logits(slopes))
    variance, mean = torch.var_mean(raw, dim=0, correction=0)
    normalized = (raw - mean) * torch.rsqrt(variance + EPS)
    return _graft(*(normalized * weights["scale"] + weights["shift"] for weights in (values, slopes)))


def _graft(value: Tensor, slope: Tensor) -> Tensor:
    """Return the value of one tensor with the derivative of another; the same tensor twice is returned unchanged."""
    return slope + (value - slope).detach()
