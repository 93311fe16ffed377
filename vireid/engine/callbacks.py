"""Callbacks of the trainer: EMA of the weights, freezing, the log, evaluation between epochs, checkpoints.

The trainer calls each hook of all callbacks in the order of its list. `Experiment` uses this order:

1. `WeightAverage` (EMA), so that the callbacks after it evaluate and store the average of this step,
2. `FreezeParts`,
3. `TrainingLog`, before evaluations, so that the records of an epoch precede its scores,
4. `EvaluateBetweenEpochs`, before checkpoints, because it may select the epoch whose checkpoint must be written,
5. the entries of CALLBACKS in the order of the config,
6. `SaveCheckpoints`, last, so that a checkpoint has the state of all others.

Hooks run in every process. A callback that writes files does so in the main process (`trainer.environment.is_main`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from vireid.core.errors import ConfigError
from vireid.core.types import Progress
from vireid.engine.epoch_start import LabelRecord
from vireid.engine.optim import check_paths, part_at, trainable
from vireid.runs.log import EPOCH, EVALUATION, JsonLines, losses_text

if TYPE_CHECKING:
    from vireid.engine.trainer import Trainer


@dataclass(frozen=True)
class StepRecord:
    """What a step computed.

    Args:
        losses: "loss", the total, and each term without its weight; NaN for a term that was not computed.
        grad_norm: Norm of the gradient of all parameters, before clipping.
        lr: Learning rate of a parameter group of scale 1.
    """

    losses: Mapping[str, float]
    grad_norm: float
    lr: float


@dataclass(frozen=True)
class EpochRecord:
    """Means over an epoch.

    Args:
        losses: Mean of "loss" and of each term.
        grad_norm: Mean norm of the gradient.
        lr: Learning rate of a parameter group of scale 1.
        images_per_second: Training images of all processes.
        waiting: Share of the time spent waiting for batches.
    """

    losses: Mapping[str, float]
    grad_norm: float
    lr: float
    images_per_second: float
    waiting: float


@dataclass(frozen=True)
class Scores:
    """Result of an evaluation between epochs.

    Args:
        score: The number that selects a checkpoint; larger is better.
        protocols: Protocol -> metric -> value in [0, 1].
    """

    score: float
    protocols: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class Callback:
    """Base class: every hook does nothing.

    A callback with state that a resumed run needs returns it from `state_dict` as plain values and tensors. It is
    stored in the checkpoint under the name of the callback.
    """

    def validate(self) -> None:
        """Called before the dataset is read: raise a UserError for what will be missing, such as a package."""

    def setup(self, trainer: Trainer) -> None:
        """Prepare for a training: called once, before a checkpoint is loaded and before the first step."""

    def on_train_start(self, trainer: Trainer) -> None:
        """Called before the first epoch of this process, new or resumed."""

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Called before an epoch; `trainer.progress.epoch` epochs are finished."""

    def on_train_mode(self, trainer: Trainer) -> None:
        """Called after network and losses were put into training mode."""

    def on_labels(self, trainer: Trainer, record: LabelRecord) -> None:
        """Called at the start of an epoch after its pseudo labels were made; never called without LABELS."""

    def on_step_end(self, trainer: Trainer, record: StepRecord) -> None:
        """Called after an optimizer step; `trainer.progress.step` counts it."""

    def on_epoch_end(self, trainer: Trainer, record: EpochRecord) -> None:
        """Called after an epoch; `trainer.progress.epoch` counts it."""

    def on_evaluation(self, trainer: Trainer, scores: Scores) -> None:
        """Called after an evaluation between epochs."""

    def on_train_end(self, trainer: Trainer) -> None:
        """Called after the last epoch."""

    def evaluated_model(self) -> nn.Module | None:
        """The network that is evaluated and stored in place of the trained one; None: no other one."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """The state that a resumed run needs, as plain values and tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned."""


class WeightAverage(Callback):
    """Exponential moving average (EMA) of the parameters and floating-point buffers of the network.

    After step t (from 1) the average is d average + (1 - d) weights with d = min(decay, (1 + t) / (10 + t)), so that
    the initial weights lose their influence quickly. Integer buffers are copied. The average is evaluated and stored
    as the model of a checkpoint.

    Args:
        decay: d after many steps, in (0, 1).
    """

    def __init__(self, decay: float) -> None:
        assert 0 < decay < 1
        self.decay = decay
        self.model: nn.Module | None = None

    def setup(self, trainer: Trainer) -> None:
        self.start(trainer.model)

    def state_dict(self) -> dict[str, Any]:
        return {"decay": self.decay}  # the weights are the model of the checkpoint

    def start(self, model: nn.Module) -> None:
        """Begin with a copy of the network."""
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    def evaluated_model(self) -> nn.Module | None:
        return self.model

    def on_step_end(self, trainer: Trainer, record: StepRecord) -> None:
        self.update(trainer.model, trainer.progress.step)

    def on_epoch_end(self, trainer: Trainer, record: EpochRecord) -> None:
        assert self.model is not None
        trainer.environment.same_buffers(self.model)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after `step` optimizer steps."""
        assert self.model is not None
        average, weights = self.model.state_dict(), model.state_dict()
        decay = min(self.decay, (1 + step) / (10 + step))
        floating = [name for name, value in average.items() if value.is_floating_point()]
        torch._foreach_lerp_([average[name] for name in floating], [weights[name] for name in floating], 1 - decay)  # type: ignore
        for name in average.keys() - set(floating):
            average[name].copy_(weights[name])


FreezePeriod = int | tuple[int, int]


class FreezeParts(Callback):
    """Freeze named parts of the network and the objective in some of the epochs.

    A frozen part has no gradients, so that the optimizer does not change it, not even by weight decay or momentum. Its
    batch normalizations use their running statistics and do not update them. What is frozen depends on the epoch only:
    a resumed run needs no state.

    Args:
        epochs: Module path, as in SOLVER.LR_SCALE -> number of epochs after which the part is frozen, or a pair (first,
            end): it is frozen from epoch `first` on and trained again from epoch `end` on, counted from 0. (0, 5)
            freezes a part for the first five epochs, as in fine-tuning.
    """

    def __init__(self, epochs: Mapping[str, FreezePeriod]) -> None:
        self.epochs = dict(epochs)
        self._parts: dict[str, nn.Module | nn.Parameter] = {}
        self._trainable: dict[str, list[nn.Parameter]] = {}
        self._frozen: set[str] = set()

    def setup(self, trainer: Trainer) -> None:
        self.find(trainer.model, trainer.objective)

    def find(self, model: nn.Module, objective: nn.Module) -> None:
        """Look up the parts. Raises ConfigError for paths without a trainable parameter and wrong periods."""
        check_freeze(model, objective, self.epochs)
        self._parts = {path: part_at(model, objective, path) for path in self.epochs}
        self._trainable = {
            path: [value for value in _parameters(part) if value.requires_grad] for path, part in self._parts.items()
        }

    def on_train_start(self, trainer: Trainer) -> None:
        self.apply(trainer.progress.epoch)

    def on_epoch_start(self, trainer: Trainer) -> None:
        if self.apply(trainer.progress.epoch):
            trainer.parameters_changed()

    def on_train_mode(self, trainer: Trainer) -> None:
        self.freeze_batchnorm()

    def apply(self, epoch: int) -> bool:
        """Freeze the parts that are due when `epoch` epochs are finished; whether anything changed."""
        due = {path for path, period in self.epochs.items() if _frozen_in(period, epoch)}
        changed, self._frozen = due != self._frozen, due
        for path, parameters in self._trainable.items():
            if path not in due:
                for parameter in parameters:
                    parameter.requires_grad_(True)
        for path in due:  # last, because paths may lie in each other
            for parameter in self._trainable[path]:
                parameter.requires_grad_(False)
        return changed

    def freeze_batchnorm(self) -> None:
        """Put the batch normalizations of frozen parts into evaluation mode."""
        for path in self._frozen:
            part = self._parts[path]
            for module in part.modules() if isinstance(part, nn.Module) else ():
                if getattr(module, "track_running_stats", False):
                    module.eval()


def check_freeze(model: nn.Module, objective: nn.Module, epochs: Mapping[str, FreezePeriod]) -> None:
    """Check the paths of SOLVER.FREEZE.

    Raises:
        ConfigError: For paths without a trainable parameter, numbers below 0, and pairs that freeze no epoch; if no
            parameter is left to train.
    """
    names = trainable(model, objective)
    starts = {path: period if isinstance(period, int) else period[0] for path, period in epochs.items()}
    check_paths("SOLVER.FREEZE", starts, names)
    faults = [
        f"SOLVER.FREEZE.{path} = {list(period)} freezes no epoch; write [first, end] with end above first"
        for path, period in epochs.items()
        if not isinstance(period, int) and period[1] <= period[0]
    ]
    for epoch in sorted(set(starts.values())):
        frozen = [path for path, period in epochs.items() if _frozen_in(period, epoch)]
        if all(any(f"{name}.".startswith(f"{path}.") for path in frozen) for name in names):
            faults.append(f"SOLVER.FREEZE leaves nothing to train in epoch {epoch} (counted from 0)")
            break
    if faults:
        raise ConfigError(faults)


def _frozen_in(period: FreezePeriod, epoch: int) -> bool:
    first, end = (period, None) if isinstance(period, int) else period
    return first <= epoch and (end is None or epoch < end)


def _parameters(part: nn.Module | nn.Parameter) -> list[nn.Parameter]:
    return list(part.parameters()) if isinstance(part, nn.Module) else [part]


class TrainingLog(Callback):
    """Write steps, epochs and evaluations to `log.jsonl`, and print epochs and evaluations.

    Args:
        log: The log file.
        every: Steps between records; 0: none.
        say: Prints a line.
    """

    def __init__(self, log: JsonLines, *, every: int = 50, say: Callable[[str], None] = print) -> None:
        self.log, self.every, self.say = log, every, say

    def on_train_start(self, trainer: Trainer) -> None:
        if trainer.environment.is_main:
            self.log.rewind(trainer.progress.epoch)  # a run that was killed in its first epoch has records, too

    def on_step_end(self, trainer: Trainer, record: StepRecord) -> None:
        progress = trainer.progress
        if self.every and progress.step % self.every == 0 and trainer.environment.is_main:
            losses = {name: value for name, value in record.losses.items() if value == value}
            position = {"epoch": progress.epoch + 1, "step": progress.step, "lr": record.lr}
            self.log("step", **position, **losses, grad_norm=record.grad_norm)

    def on_epoch_end(self, trainer: Trainer, record: EpochRecord) -> None:
        if not trainer.environment.is_main:
            return
        progress = trainer.progress
        self.log(
            EPOCH,
            epoch=progress.epoch,
            step=progress.step,
            lr=record.lr,
            **record.losses,
            grad_norm=record.grad_norm,
            images_per_second=record.images_per_second,
            waiting=record.waiting,
        )
        self.say(
            f"epoch {progress.epoch}/{trainer.epochs}  {losses_text(record.losses)}  lr {record.lr:.2g}  "
            f"{record.images_per_second:.0f} images/s"
        )

    def on_evaluation(self, trainer: Trainer, scores: Scores) -> None:
        if not trainer.environment.is_main:
            return
        for protocol, values in scores.protocols.items():
            position = {"epoch": trainer.progress.epoch, "step": trainer.progress.step}
            self.log(EVALUATION, **position, protocol=protocol, **values)
            self.say(f"    {protocol}: rank-1 {100 * values['rank1']:.1f}  mAP {100 * values['mAP']:.1f}")


class EvaluateBetweenEpochs(Callback):
    """Evaluate the network every few epochs and select the best epoch as the run's checkpoint.

    Args:
        evaluate: Network, progress -> scores.
        every: Epochs between evaluations.
        select: Whether the epoch with the largest score is selected.
    """

    def __init__(self, evaluate: Callable[[nn.Module, Progress], Scores], *, every: int, select: bool = False) -> None:
        assert every > 0
        self.evaluate, self.every, self.select = evaluate, every, select

    def on_epoch_end(self, trainer: Trainer, record: EpochRecord) -> None:
        if trainer.progress.epoch % self.every:
            return
        scores = self.evaluate(trainer.evaluated_model, trainer.progress)
        trainer.notify("on_evaluation", scores)
        if self.select:
            trainer.select_epoch(scores.score)


class SaveCheckpoints(Callback):
    """Write a checkpoint every few epochs, after the last one, and of an epoch that was selected.

    Args:
        every: Epochs between checkpoints.
    """

    def __init__(self, *, every: int = 1) -> None:
        assert every > 0
        self.every = every

    def on_epoch_end(self, trainer: Trainer, record: EpochRecord) -> None:
        epoch = trainer.progress.epoch
        if epoch == trainer.epochs or epoch % self.every == 0 or trainer.best.get("epoch") == epoch:
            trainer.save()


def named_callbacks(callbacks: Sequence[Callback]) -> dict[str, Callback]:
    """Callbacks by the name under which their state is stored: the class name, with a number if it is repeated."""
    named: dict[str, Callback] = {}
    for callback in callbacks:
        name, number = type(callback).__name__, 2
        while name in named:
            name, number = f"{type(callback).__name__}_{number}", number + 1
        named[name] = callback
    return named
