"""The training loop: steps, epochs, and the state of a run. Everything else is a callback (`engine/callbacks.py`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vireid.core.errors import CheckpointError, ConfigError, NonFiniteLoss
from vireid.core.interfaces import AssignsLabels
from vireid.core.progress import progress
from vireid.core.pseudo_labels import PseudoLabels
from vireid.core.rng import derive, seeded
from vireid.core.types import Batch, ModelOutput, Progress, Sample
from vireid.engine.callbacks import Callback, EpochRecord, StepRecord, named_callbacks
from vireid.engine.checkpoint import CheckpointFolder, TrainerState
from vireid.engine.distributed import Environment, gather_step
from vireid.engine.epoch_start import Embed, EpochStart, LabelRecord, epoch_reports, starting_parts
from vireid.engine.optim import apply_schedule
from vireid.runs.log import Means

_STEP_SEED = 1  # key of the generator of a step's dropout; augmentation has its own
LOSS, GRAD_NORM = "loss", "grad_norm"


class BatchSource(Protocol):
    """Training batches: `epoch(e)` yields the uint8 batches of epoch e; it is closed if the epoch ends early."""

    def steps(self) -> int: ...

    def relabel(self, labels: PseudoLabels) -> None: ...

    def epoch(self, epoch: int) -> Generator[Batch, None, None]: ...


class StepModule(nn.Module):
    """Network and objective as one module, so that DistributedDataParallel has the parameters of both.

    Args:
        model: The network.
        objective: The losses.
        environment: Precision and processes.
        gather: Compute the losses over the rows of all processes.
    """

    def __init__(
        self, model: nn.Module, objective: nn.Module, environment: Environment, *, gather: bool = False
    ) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        self._autocast, self.gather = environment.autocast, gather

    def forward(self, batch: Batch, progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        with self._autocast():
            features: ModelOutput = self.model(batch)
        if self.gather:
            batch, features = gather_step(batch, features, self.objective.reads)  # type: ignore[arg-type]
        return self.objective(batch, features, progress)


@dataclass(kw_only=True)
class Trainer:
    """Trains a network with an objective.

    On a CPU a run that was killed and resumed has the same weights, bit by bit, as one that was not interrupted: data
    order, augmentation and dropout are functions of (seed, epoch, step, rank), and an unfinished epoch runs again.

    With several processes each has its share of every batch. Gradients, logged losses and running statistics are the
    same in all of them.

    Args:
        model: The network.
        objective: The losses.
        optimizer: Optimizer over the parameters of both.
        schedule: Epoch -> factor of the learning rate.
        batches: Source of batches.
        augment: Batch, epoch, step, rank -> augmented batch on the device.
        environment: Device, precision and processes.
        checkpoints: Folder of the run's checkpoints.
        epochs: Number of epochs of the complete training.
        seed: Seed of dropout.
        checkpoint_key: What a checkpoint must agree in to belong to this run, such as the number of identities.
        clip_norm: Largest norm of the gradient; 0: no limit.
        gather_features: Compute losses over the rows of all processes.
        embed_training: View, epoch, flips -> embeddings of the training set, for parts that request them; None: not
            available.
        labels: Makes the training labels of each epoch; None: the labels of the samples.
        samples: Training samples, for parts that request them.
        callbacks: Called in this order; see `engine/callbacks.py`.
        say: Prints a line.

    Attributes:
        progress: Position in the training.
        best: Epoch and score of the selected epoch; empty without a selection.
    """

    model: nn.Module
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Callable[[int], float]
    batches: BatchSource
    augment: Callable[..., Batch]
    environment: Environment
    checkpoints: CheckpointFolder
    epochs: int
    seed: int = 0
    checkpoint_key: Mapping[str, Any] = field(default_factory=dict)
    clip_norm: float = 0.0
    gather_features: bool = False
    embed_training: Embed | None = None
    labels: AssignsLabels | None = None
    samples: Sequence[Sample] = ()
    callbacks: Sequence[Callback] = ()
    say: Callable[[str], None] = print

    def __post_init__(self) -> None:
        device = self.environment.device
        place(self.model, device)
        self.objective.to(device)
        self.progress = Progress()
        self.best: dict[str, Any] = {}
        self._ready = False
        self._start: EpochStart | None = None  # of an epoch that was only probed
        self._checked_gradients = False
        self.step_module = self._unwrapped()

    # -- a run ---------------------------------------------------------------------------------------------------

    @property
    def evaluated_model(self) -> nn.Module:
        """The network that is evaluated and stored: that of a callback (EMA), or the trained one."""
        models = (callback.evaluated_model() for callback in self.callbacks)
        return next((model for model in models if model is not None), self.model)

    def notify(self, hook: str, *arguments: Any) -> None:
        """Call a hook of all callbacks in their order."""
        for callback in self.callbacks:
            getattr(callback, hook)(self, *arguments)

    def resume(self) -> bool:
        """Continue from the newest intact checkpoint; False without one."""
        environment = self.environment
        epoch = environment.from_main(lambda: self.checkpoints.newest(self.checkpoint_key))
        if epoch is None:
            return False
        self._setup()
        state = self.checkpoints.load(epoch, self.evaluated_model, self.objective, training=self._separate_model())
        try:
            self.optimizer.load_state_dict(dict(state.optimizer))
        except (ValueError, KeyError, TypeError) as error:
            place = self.checkpoints.path(epoch)
            raise CheckpointError(f"{place}: the state of another optimizer ({error})") from error
        for name, callback in named_callbacks(self.callbacks).items():
            if name in state.callbacks:
                callback.load_state_dict(state.callbacks[name])
        self.progress, self.best = state.progress, dict(state.best)
        if self.best and self.best["epoch"] not in self.checkpoints.epochs():
            self._tell(f"the checkpoint of the best epoch so far, {self.best['epoch']}, is missing: selecting again")
            self.best = {}
        if environment.device.type == "cpu" and state.threads != torch.get_num_threads():
            self._tell(f"using {state.threads} threads as the interrupted run did (now {torch.get_num_threads()})")
            torch.set_num_threads(state.threads)
        if state.processes != environment.world:
            self._tell(f"the interrupted run had {state.processes} processes, this one has {environment.world}")
        self._tell(f"resumed after epoch {self.progress.epoch} of {self.epochs}")
        return True

    def fit(self) -> None:
        """Train up to `epochs`; afterwards `self.model` has the weights of the last epoch."""
        self._setup()
        self.notify("on_train_start")
        with seeded(self.seed):  # the caller's generators are restored afterwards
            if self.environment.world > 1 and self.progress.epoch < self.epochs:
                self._probe()
                self.parameters_changed()
            while self.progress.epoch < self.epochs:
                self._run_epoch()
        self.notify("on_train_end")

    def selected_epoch(self) -> int:
        """The epoch whose checkpoint is the result of the run."""
        return int(self.best["epoch"]) if self.best else self.progress.epoch

    def select_epoch(self, score: float) -> None:
        """Select the current epoch if its score is the largest so far."""
        if score > self.best.get("score", -1.0):
            self.best = {"epoch": self.progress.epoch, "score": score}

    def save(self, name: str = "") -> Path:
        """Write a checkpoint in the main process; the others wait and share its error.

        Args:
            name: Name of the folder; "": that of the epoch.
        """
        return self.environment.from_main(lambda: self._write(name))

    def parameters_changed(self) -> None:
        """Wrap the modules again for several processes, because the set of trainable parameters has changed."""
        if self.environment.world > 1:
            self.step_module = self.environment.accelerator.prepare(self._unwrapped())

    def _setup(self) -> None:
        if not self._ready:
            self.notify("setup")
            self._ready = True

    def _tell(self, text: str) -> None:
        if self.environment.is_main:
            self.say(text)

    def _separate_model(self) -> nn.Module | None:
        """The trained network if another one is evaluated."""
        return None if self.evaluated_model is self.model else self.model

    def _unwrapped(self) -> StepModule:
        return StepModule(self.model, self.objective, self.environment, gather=self.gather_features)

    def _train_mode(self) -> None:
        self.step_module.train()
        self.notify("on_train_mode")

    def _write(self, name: str) -> Path:
        states = {key: callback.state_dict() for key, callback in named_callbacks(self.callbacks).items()}
        state = TrainerState(
            self.progress,
            self.optimizer.state_dict(),
            threads=torch.get_num_threads(),
            best=self.best,
            processes=self.environment.world,
            callbacks={key: value for key, value in states.items() if value},
        )
        model, key = self.evaluated_model, self.checkpoint_key
        return self.checkpoints.save(model, self.objective, state, key, name, training=self._separate_model())

    # -- an epoch ------------------------------------------------------------------------------------------------

    def _run_epoch(self) -> None:
        epoch, environment = self.progress.epoch, self.environment
        rate = apply_schedule(self.optimizer, self.schedule, epoch)
        self.notify("on_epoch_start")
        self._train_mode()
        self._start_epoch()
        losses, norms, waited, images = Means(), Means(), 0.0, 0
        began = time.perf_counter()
        with closing(self.batches.epoch(epoch)) as batches:
            timed = _timed(batches)
            if environment.is_main:
                label = f"epoch {epoch + 1}/{self.epochs}"
                timed = progress(timed, total=self.batches.steps(), label=label)
            for number, (batch, wait) in enumerate(timed):
                waited += wait
                images += len(batch)
                record = self._step(batch, number, rate)
                losses.add(list(record.losses), list(record.losses.values()))
                norms.add([GRAD_NORM], [record.grad_norm])
                self.notify("on_step_end", record)
        seconds = time.perf_counter() - began
        environment.same_buffers(self.step_module)
        self.progress.epoch += 1
        self.progress.last_epoch = losses.result()
        speed, waiting = images * environment.world / seconds, waited / seconds
        norm = norms.result().get(GRAD_NORM, 0.0)
        record = EpochRecord(self.progress.last_epoch, norm, rate, round(speed, 1), round(waiting, 4))
        self.notify("on_epoch_end", record)

    def _start_epoch(self, *, keep: bool = False) -> None:
        """Make the labels of the epoch, and let parts refresh their state from the training set.

        Args:
            keep: Keep embeddings and labels for the next call, because the epoch will start again with these weights.
        """
        parts = starting_parts(self.step_module.modules())
        if not parts and self.labels is None:
            return
        assert self.embed_training is not None, "a part requests training embeddings, which are not available"
        began = time.perf_counter()
        start = self._start or EpochStart(self.progress, self.embed_training, self.samples)
        if self.labels is not None:
            start.labels = start.labels or self._assign(self.labels, start)
            self.batches.relabel(start.labels)
        for part in parts:
            part.start_epoch(start)
        if start.labels is not None and not keep:
            reports = epoch_reports(self.step_module.modules())
            self.notify("on_labels", LabelRecord(start.labels, time.perf_counter() - began, reports))
        self._start = start if keep else None
        self._train_mode()

    def _assign(self, source: AssignsLabels, start: EpochStart) -> PseudoLabels:
        """The labels of all processes: each computes its share of the embeddings, the main process the labels."""
        table = start.training_features(flips=source.flips)
        return self.environment.from_main(lambda: source.assign(table))

    # -- a step --------------------------------------------------------------------------------------------------

    def _forward(self, batch: Batch, number: int) -> tuple[Tensor, dict[str, Tensor]]:
        epoch, rank = self.progress.epoch, self.environment.rank
        torch.manual_seed(derive(self.seed, _STEP_SEED, epoch, number, rank))
        batch = self.augment(batch.to(self.environment.device), epoch=epoch, step=number, rank=rank)
        return self.step_module(batch, self.progress)

    def _probe(self) -> None:
        """Check by a step that changes nothing that every parameter gets a gradient.

        DistributedDataParallel needs all gradients; its own error comes one step later and names no parameter.
        """
        self._start_epoch(keep=True)
        with closing(self.batches.epoch(self.progress.epoch)) as batches:
            batch = next(batches)
        kept = [buffer.clone() for buffer in self.step_module.buffers()]
        total, _ = self._forward(batch, 0)
        total.backward()
        check_gradients(self.model, self.objective)
        self._checked_gradients = True
        self.step_module.zero_grad(set_to_none=True)
        for buffer, value in zip(self.step_module.buffers(), kept):
            buffer.copy_(value)

    def _step(self, batch: Batch, number: int, rate: float) -> StepRecord:
        total, terms = self._forward(batch, number)
        self.optimizer.zero_grad(set_to_none=True)
        self.environment.accelerator.backward(total)
        if not self._checked_gradients:
            check_gradients(self.model, self.objective)
            self._checked_gradients = True
        norm = self._gradient_norm()
        values = self.environment.mean(torch.stack([total.detach(), *terms.values(), norm.to(total.dtype)]))
        *losses, grad_norm = values.tolist()  # the one host-device synchronization of a step
        record = StepRecord(dict(zip([LOSS, *terms], losses)), grad_norm, rate)
        self._check_finite(record)
        self.optimizer.step()
        self.progress.step += 1
        return record

    def _gradient_norm(self) -> Tensor:
        """The norm of all gradients, which are clipped afterwards."""
        if self.clip_norm:
            return torch.nn.utils.clip_grad_norm_(self.step_module.parameters(), self.clip_norm)
        gradients = [parameter.grad for parameter in self.step_module.parameters() if parameter.grad is not None]
        if not gradients:
            return torch.zeros((), device=self.environment.device)
        return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))  # type: ignore[reportPrivateImportUsage]

    def _check_finite(self, record: StepRecord) -> None:
        """Stop before the optimizer step if the total or the gradient is not finite; a measured term may be NaN."""
        if _is_finite(record.losses[LOSS]) and _is_finite(record.grad_norm):
            return
        values = {name: value for name, value in record.losses.items() if not _is_finite(value)}
        if LOSS not in values:
            values = {"the gradient": record.grad_norm}
        named = {name: value for name, value in values.items() if name != LOSS} or values
        folder = self.save(name="non_finite")
        raise NonFiniteLoss(
            f"{', '.join(f'{name} is {value}' for name, value in named.items())} in epoch {self.progress.epoch + 1},"
            f" step {self.progress.step + 1}; training stopped before this step changed a weight.\n"
            f"    The state is saved in {folder}. Usual remedies: a smaller SOLVER.LR, CLIP_NORM 10, PRECISION float32."
        )


def _is_finite(value: float) -> bool:
    return abs(value) < float("inf")


def place(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, its convolutions in channels_last."""
    return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def check_gradients(model: nn.Module, objective: nn.Module) -> None:
    """Check after backward that every trainable parameter has a gradient.

    Raises:
        ConfigError: With the parameters without one: a part without its loss is a mistake of the config.
    """
    named = [*model.named_parameters(), *((f"objective.{name}", p) for name, p in objective.named_parameters())]
    idle = [name for name, parameter in named if parameter.requires_grad and parameter.grad is None]
    if idle:
        shown = ", ".join(idle[:6]) + (f" and {len(idle) - 6} more" if len(idle) > 6 else "")
        raise ConfigError(
            [f"no loss trains these parameters: {shown}; add a term to OBJECTIVE that reads them, or empty their slot"]
        )


def _timed(batches: Iterator[Batch]) -> Iterator[tuple[Batch, float]]:
    """Yield each batch with the seconds of waiting for it."""
    while True:
        began = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, time.perf_counter() - began
