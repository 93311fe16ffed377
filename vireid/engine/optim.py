"""Optimizers, learning-rate schedules and the parameter groups they work on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from vireid.core.errors import ArgumentError, ConfigError, nearest
from vireid.core.interfaces import ScaledSchedule
from vireid.core.registries import LR_SCHEDULES, OPTIMIZERS
from vireid.engine.layer_decay import layer_scales, longest_path, without_decay

Groups = Iterable[dict[str, Any]]


@OPTIMIZERS.register
class SGD(torch.optim.SGD):
    """Stochastic gradient descent; the defaults are those of the released HCT, MMD-ReID and AGW codes.

    Weight decay acts on every parameter, biases and norms included, as released.
    """

    def __init__(
        self,
        params: Groups,
        *,
        lr: float = 0.1,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 5e-4,
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)


@OPTIMIZERS.register
class Adam(torch.optim.Adam):
    """Adam with L2 regularization, as MPANet and MCE use it."""

    def __init__(self, params: Groups, *, lr: float = 3.5e-4, weight_decay: float = 5e-4) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay)


@OPTIMIZERS.register
class AdamW(torch.optim.AdamW):
    """Adam with decoupled weight decay."""

    def __init__(self, params: Groups, *, lr: float = 3.5e-4, weight_decay: float = 1e-2) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay)


@LR_SCHEDULES.register
class WarmupSteps:
    """Factor of the learning rate: a straight ramp over the first epochs, then a drop at each of `drops`.

    Epochs count from 0: epoch e < warmup has (e + 1) / warmup. Source: released HCT, MMD-ReID and AGW codes
    (warmup 10, drops 20 and 50, factor 0.1).

    >>> schedule = WarmupSteps(warmup=10, drops=(20, 50), factor=0.1)
    >>> schedule(0), schedule(9), schedule(19), schedule(20)
    (0.1, 1.0, 1.0, 0.1)
    """

    example: ClassVar[dict[str, Any]] = {"warmup": 2, "drops": (4, 6)}

    def __init__(self, *, warmup: int = 10, drops: Sequence[int] = (20, 50), factor: float = 0.1) -> None:
        if warmup < 0:
            raise ArgumentError("warmup", f"must be at least 0, got {warmup}")
        if list(drops) != sorted(set(drops)) or any(drop < warmup for drop in drops):
            raise ArgumentError("drops", f"must be ascending epochs from {warmup} (the warm-up) on, got {list(drops)}")
        if not 0 < factor <= 1:
            raise ArgumentError("factor", f"must lie in (0, 1], got {factor}")
        self.warmup, self.drops, self.factor = warmup, tuple(drops), factor

    def __call__(self, epoch: int) -> float:
        if epoch < self.warmup:
            return (epoch + 1) / self.warmup
        return self.factor ** sum(epoch >= drop for drop in self.drops)


@LR_SCHEDULES.register
class WarmupCosine:
    """Factor of the learning rate: a straight ramp, then half a cosine down to `floor` at the last of `epochs`."""

    def __init__(self, *, warmup: int = 10, epochs: int = 60, floor: float = 0.01) -> None:
        if not 0 <= warmup < epochs:
            raise ArgumentError("warmup", f"must lie between 0 and epochs ({epochs}), got {warmup}")
        if not 0 <= floor <= 1:
            raise ArgumentError("floor", f"must lie in [0, 1], got {floor}")
        self.warmup, self.epochs, self.floor = warmup, epochs, floor

    def __call__(self, epoch: int) -> float:
        if epoch < self.warmup:
            return (epoch + 1) / self.warmup
        share = min(1.0, (epoch - self.warmup) / max(1, self.epochs - 1 - self.warmup))
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * share))


@LR_SCHEDULES.register
class SharedFloorCosine:
    """Factor of the learning rate: a straight ramp, then a cosine; start and floor are the same for all groups.

    Epochs count from 0. With n = epoch + 1, a group of scale q has, as a share of the base rate, start + n (q - start)
    / warmup for n < warmup; then floor + (q - floor) (1 + cos(pi n / epochs)) / 2; and floor from n = epochs on. The
    cosine counts from epoch 0, so that it begins below q after the warm-up. Start and floor are at most q.

    Args:
        warmup: n of the first epoch on the cosine; 0 and 1: no ramp.
        epochs: Length of the cosine, usually that of the training.
        start: Begin of the ramp, as a share of the base rate.
        floor: End of the cosine, as a share of the base rate.

    Source:
        PMT (AAAI 2023), released code: base rate 3e-4, scale 0.5 for pretrained blocks; 24 epochs on SYSU-MM01 and 36
        on RegDB.

    Example:
        >>> schedule = SharedFloorCosine(warmup=2, epochs=4, start=0.0, floor=0.1)
        >>> [round(schedule(epoch), 4) for epoch in range(5)]
        [0.5, 0.55, 0.2318, 0.1, 0.1]
        >>> schedule.for_scale(3, 0.5)
        0.1
    """

    example: ClassVar[dict[str, Any]] = {"warmup": 2, "epochs": 8}

    def __init__(self, *, warmup: int = 3, epochs: int = 24, start: float = 0.01, floor: float = 0.01) -> None:
        if not 0 <= warmup < epochs:
            raise ArgumentError("warmup", f"must lie between 0 and epochs ({epochs}), got {warmup}")
        for name, share in {"start": start, "floor": floor}.items():
            if not 0 <= share <= 1:
                raise ArgumentError(name, f"must lie in [0, 1], got {share}")
        self.warmup, self.epochs, self.start, self.floor = warmup, epochs, start, floor

    def __call__(self, epoch: int) -> float:
        return self.for_scale(epoch, 1.0)

    def for_scale(self, epoch: int, scale: float) -> float:
        """Rate of a group of this scale in an epoch, as a share of the base rate."""
        number, start, floor = epoch + 1, min(self.start, scale), min(self.floor, scale)
        if number < self.warmup:
            return start + number * (scale - start) / self.warmup
        if number >= self.epochs:
            return floor
        return floor + (scale - floor) * 0.5 * (1 + math.cos(math.pi * number / self.epochs))


def trainable(model: nn.Module, objective: nn.Module) -> dict[str, nn.Parameter]:
    """Trainable parameters by path; the paths of the objective start with "objective."."""
    named = dict(model.named_parameters())
    named |= {f"objective.{name}": parameter for name, parameter in objective.named_parameters()}
    return {name: parameter for name, parameter in named.items() if parameter.requires_grad}


def check_paths(key: str, given: Mapping[str, float], named: Iterable[str]) -> None:
    """Check module paths and their numbers.

    Args:
        key: Configuration key of the paths.
        given: Module path -> number.
        named: Names of the trainable parameters.

    Raises:
        ConfigError: With every path without a trainable parameter, and every number below 0.
    """
    paths = {".".join(name.split(".")[:depth]) for name in named for depth in range(1, name.count(".") + 2)}
    tops = ", ".join(sorted(path for path in paths if "." not in path))
    faults = [
        f"{key}: no trainable parameter lies under {path!r}{nearest(path, paths)} (top level: {tops})"
        for path in given
        if path not in paths
    ]
    faults += [f"{key}.{path} = {number:g} is below 0" for path, number in given.items() if number < 0]
    if faults:
        raise ConfigError(faults)


def part_at(model: nn.Module, objective: nn.Module, path: str) -> nn.Module | nn.Parameter:
    """The module or the parameter at a path of `trainable`."""
    first, _, rest = path.partition(".")
    owner, own = (objective, rest) if first == "objective" else (model, path)
    parameters = dict(owner.named_parameters())
    return parameters[own] if own in parameters else owner.get_submodule(own)


def parameter_groups(
    model: nn.Module,
    objective: nn.Module,
    lr_scale: Mapping[str, float],
    *,
    layer_decay: float | None = None,
    decayed: str = "all",
) -> list[dict[str, Any]]:
    """Group the trainable parameters by the factor of their learning rate.

    Args:
        model: The network.
        objective: The losses.
        lr_scale: Module path -> factor: `backbone` for a part of the network, `objective.graph` for a loss with
            parameters. The longest path that fits a parameter wins; the others have factor 1.
        layer_decay: Multiply the factors by those of `layer_scales`; None: do not.
        decayed: Parameters with weight decay: "all", or "matrices", all but those of `without_decay`.

    Returns:
        Groups {"params": [...], "scale": factor}, sorted by factor, with parameters in module order, so that the
        optimizer state of one run fits the next. Groups without weight decay come second and have "weight_decay": 0.

    Raises:
        ConfigError: For paths without a parameter, paths without effect, factors below 0, and a `layer_decay` for a
            backbone without layers.
    """
    named = trainable(model, objective)
    check_paths("SOLVER.LR_SCALE", lr_scale, named)
    layers = {} if layer_decay is None else layer_scales(model, layer_decay)
    undecayed = without_decay(model, objective) if decayed == "matrices" else set()
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    used = set()
    for name, parameter in named.items():
        path, layer = longest_path(name, lr_scale), longest_path(name, layers)
        used.add(path)
        scale = (1.0 if path is None else float(lr_scale[path])) * (1.0 if layer is None else layers[layer])
        groups.setdefault((scale, name in undecayed), []).append(parameter)
    if covered := [path for path in lr_scale if path not in used]:
        raise ConfigError(
            f"SOLVER.LR_SCALE: {path!r} has no effect, because longer paths name every parameter under it; remove it"
            for path in covered
        )
    return [
        {"params": groups[scale, bare], "scale": scale, **({"weight_decay": 0.0} if bare else {})}
        for scale, bare in sorted(groups)
    ]


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Give each group base rate x its scale x factor; returns base rate x factor, the rate of a group of scale 1."""
    rate = optimizer.defaults["lr"] * factor
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)
    return rate


def apply_schedule(optimizer: torch.optim.Optimizer, schedule: Callable[[int], float], epoch: int) -> float:
    """Give each group its learning rate in an epoch; returns the rate of a group of scale 1.

    The rate is base rate x scale x `schedule(epoch)`, unless the schedule is a `ScaledSchedule`.
    """
    rate = set_learning_rate(optimizer, schedule(epoch))
    if isinstance(schedule, ScaledSchedule):
        for group in optimizer.param_groups:
            group["lr"] = optimizer.defaults["lr"] * schedule.for_scale(epoch, group.get("scale", 1.0))
    return rate
