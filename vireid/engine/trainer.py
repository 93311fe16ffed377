"""The training loop: what happens in a step, in an epoch and between epochs."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from vireid.core.errors import CheckpointError, ConfigError, NonFiniteLoss
from vireid.core.interfaces import StartsEpoch
from vireid.core.progress import progress
from vireid.core.rng import derive, seeded
from vireid.core.types import Batch, EmbeddingTable, ModelOutput, Progress, Sample
from vireid.engine.averaging import AveragedWeights
from vireid.engine.checkpoint import CheckpointFolder, TrainerState
from vireid.engine.environment import Environment
from vireid.engine.freezing import Freezing
from vireid.engine.gather import gather_step
from vireid.engine.optim import set_learning_rate
from vireid.runs.log import JsonLines, Means, losses_text

Select = Literal["last", "test", "heldout"]
_STEP_SEED = 1  # key under which a step's dropout is drawn; augmentation has its own


class BatchSource(Protocol):
    """Training batches: `epoch(e)` yields the uint8 batches of epoch e and is closed when the epoch ends early."""

    def steps(self) -> int: ...

    def epoch(self, epoch: int) -> Generator[Batch, None, None]: ...


class StepModule(nn.Module):
    """Network and objective as one module, so that a wrapper for several processes sees both sets of parameters.

    With `gather` the losses of every process see the rows of all processes.
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


@dataclass
class EpochStart:
    """What a part may ask for at the start of an epoch (core.protocols.EpochContext)."""

    progress: Progress
    extract: Callable[[int, int], EmbeddingTable]  # view, epoch
    samples: Sequence[Sample] = ()
    _tables: dict[int, EmbeddingTable] = field(default_factory=dict)

    def training_features(self, view: int = 0) -> EmbeddingTable:
        if view not in self._tables:
            self._tables[view] = self.extract(view, self.progress.epoch)
        return self._tables[view]


@dataclass(kw_only=True)
class Trainer:
    """Trains a network with an objective and keeps the run on disk.

    On a CPU a run that was killed and resumed ends in the same bits as one that was not: data order,
    augmentation and dropout are functions of (seed, epoch, step, rank), and an unfinished epoch runs again.

    With several processes each has its share of every batch; gradients, logged losses and running statistics are made
    the same in all, and the first process writes. `gather_features`: losses see the rows of all processes.

    `evaluate` scores a network in training and writes its own results; it is called every `evaluate_every` epochs
    (0: never). Unless `select` is "last", the epoch with the largest score is the run's checkpoint.
    `ema`: decay of a moving average of the weights, which is then what is evaluated and kept; 0: none.
    """

    model: nn.Module
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Callable[[int], float]  # epoch -> factor of the learning rate
    batches: BatchSource
    augment: Callable[..., Batch]
    environment: Environment
    checkpoints: CheckpointFolder
    log: JsonLines
    epochs: int
    seed: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    clip_norm: float = 0.0
    checkpoint_every: int = 1
    log_every: int = 50
    ema: float = 0.0
    gather_features: bool = False
    evaluate: Callable[[nn.Module, Progress], float] | None = None
    evaluate_every: int = 0
    select: Select = "last"
    extract_training: Callable[[int, int], EmbeddingTable] | None = None
    samples: Sequence[Sample] = ()  # the training set, for parts that ask at the start of an epoch
    freeze: Mapping[str, int] = field(default_factory=dict)  # module path -> epochs after which it stops learning
    say: Callable[[str], None] = print

    def __post_init__(self) -> None:
        device = self.environment.device
        place(self.model, device)
        self.objective.to(device)
        self.progress = Progress()
        self.best: dict[str, Any] = {}
        self.averaged: AveragedWeights | None = None  # from the first weights of the run on
        self._reached = False
        self._freezing = Freezing(self.model, self.objective, self.freeze)
        self.step_module = self._unwrapped()

    # -- a run ---------------------------------------------------------------------------------------------------

    @property
    def retrieving(self) -> nn.Module:
        """The network that is evaluated: the averaged one where there is one."""
        return self.model if self.averaged is None else self.averaged.model

    def resume(self) -> bool:
        """Continue from the newest whole checkpoint; False where there is none."""
        environment = self.environment
        epoch = environment.from_main(lambda: self.checkpoints.newest(self.facts))
        if epoch is None:
            return False
        self._average()
        learning = None if self.averaged is None else self.model
        state = self.checkpoints.load(epoch, self.retrieving, self.objective, training=learning)
        try:
            self.optimizer.load_state_dict(dict(state.optimizer))
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{self.checkpoints.path(epoch)}: of another optimizer ({error})") from error
        self.progress, self.best = state.progress, dict(state.best)
        if self.best and self.best["epoch"] not in self.checkpoints.epochs():
            self._tell(f"the best epoch so far, {self.best['epoch']}, has no checkpoint any more: choosing anew")
            self.best = {}
        if environment.device.type == "cpu" and state.threads != torch.get_num_threads():
            self._tell(f"using {state.threads} threads as the interrupted run did (now {torch.get_num_threads()})")
            torch.set_num_threads(state.threads)
        if state.processes != environment.world:
            self._tell(f"the interrupted run had {state.processes} processes, this one has {environment.world}")
        self._tell(f"resumed after epoch {self.progress.epoch} of {self.epochs}")
        return True

    def fit(self) -> None:
        """Train up to `epochs`; afterwards `self.model` holds the last epoch's weights."""
        self._average()
        if self.environment.is_main:
            self.log.rewind(self.progress.epoch)  # a run killed in its first epoch left records, too
        self._freezing.apply(self.progress.epoch)
        with seeded(self.seed):  # the caller's generators are put back afterwards
            if self.environment.world > 1 and self.progress.epoch < self.epochs:
                self._probe()
                self._wrap()
            while self.progress.epoch < self.epochs:
                self._run_epoch()
                last = self.progress.epoch == self.epochs
                if self.evaluate is not None and self.evaluate_every and self.progress.epoch % self.evaluate_every == 0:
                    self._evaluate()
                if last or self.progress.epoch % self.checkpoint_every == 0:
                    self._save()

    def chosen_epoch(self) -> int:
        """The epoch whose checkpoint counts."""
        return int(self.best["epoch"]) if self.select != "last" and self.best else self.progress.epoch

    def _tell(self, text: str) -> None:
        if self.environment.is_main:
            self.say(text)

    def _average(self) -> None:
        if self.ema and self.averaged is None:
            self.averaged = AveragedWeights(self.model, self.ema)

    def _unwrapped(self) -> StepModule:
        return StepModule(self.model, self.objective, self.environment, gather=self.gather_features)

    def _wrap(self) -> None:
        """For several processes. A wrapper counts on the gradients of all parameters that learn when it is made."""
        if self.environment.world > 1:
            self.step_module = self.environment.accelerator.prepare(self._unwrapped())

    def _train_mode(self) -> None:
        self.step_module.train()
        self._freezing.keep_still()

    # -- an epoch ------------------------------------------------------------------------------------------------

    def _run_epoch(self) -> None:
        epoch = self.progress.epoch
        rate = set_learning_rate(self.optimizer, self.schedule(epoch))
        if self._freezing.apply(epoch):
            self._wrap()
        self._train_mode()
        self._start_epoch()
        means, waited, images = Means(), 0.0, 0
        began = time.perf_counter()
        steps = self.batches.steps()
        with closing(self.batches.epoch(epoch)) as batches:
            timed = _timed(batches)
            if self.environment.is_main:
                timed = progress(timed, total=steps, label=f"epoch {epoch + 1}/{self.epochs}")
            for number, (batch, wait) in enumerate(timed):
                waited += wait
                images += len(batch)
                names, values = self._step(batch, number)
                means.add(names, values)
                if self.log_every and self.progress.step % self.log_every == 0 and self.environment.is_main:
                    terms = {name: value for name, value in zip(names, values) if value == value}
                    self.log("step", epoch=epoch + 1, step=self.progress.step, lr=rate, **terms)
        seconds = time.perf_counter() - began
        self.environment.same_buffers(self.step_module)
        if self.averaged is not None:
            self.environment.same_buffers(self.averaged.model)
        self.progress.epoch += 1
        self.progress.last_epoch = means.result()
        if self.environment.is_main:
            images *= self.environment.world
            speed = {"images_per_second": round(images / seconds, 1), "waiting": round(waited / seconds, 4)}
            self.log(
                "epoch",
                epoch=self.progress.epoch,
                step=self.progress.step,
                lr=rate,
                **self.progress.last_epoch,
                **speed,
            )
            self.say(
                f"epoch {self.progress.epoch}/{self.epochs}  {losses_text(self.progress.last_epoch)}  lr {rate:.2g}  "
                f"{speed['images_per_second']:.0f} images/s"
            )

    def _start_epoch(self) -> None:
        asking = [part for part in self.step_module.modules() if isinstance(part, StartsEpoch)]
        if asking:
            assert self.extract_training is not None, "a part wants training features but nobody can extract them"
            context = EpochStart(self.progress, self.extract_training, self.samples)
            for part in asking:
                part.start_epoch(context)
            self._train_mode()

    # -- a step --------------------------------------------------------------------------------------------------

    def _forward(self, batch: Batch, number: int) -> tuple[Tensor, dict[str, Tensor]]:
        epoch, rank = self.progress.epoch, self.environment.rank
        torch.manual_seed(derive(self.seed, _STEP_SEED, epoch, number, rank))
        batch = self.augment(batch.to(self.environment.device), epoch=epoch, step=number, rank=rank)
        return self.step_module(batch, self.progress)

    def _probe(self) -> None:
        """`check_reached` by a first step that changes nothing: a wrapper for processes cannot do without a gradient.

        Its own error would come a step later and name no parameter.
        """
        self._start_epoch()
        with closing(self.batches.epoch(self.progress.epoch)) as batches:
            batch = next(batches)
        kept = [buffer.clone() for buffer in self.step_module.buffers()]
        total, _ = self._forward(batch, 0)
        total.backward()
        check_reached(self.model, self.objective)
        self._reached = True
        self.step_module.zero_grad(set_to_none=True)
        for buffer, value in zip(self.step_module.buffers(), kept):
            buffer.copy_(value)

    def _step(self, batch: Batch, number: int) -> tuple[list[str], list[float]]:
        total, terms = self._forward(batch, number)
        names = ["loss", *terms]
        values = self.environment.mean(torch.stack([total.detach(), *terms.values()]))
        values = values.tolist()  # the one host-device sync of a step
        self._check_finite(names, values)
        self.optimizer.zero_grad(set_to_none=True)
        self.environment.accelerator.backward(total)
        if not self._reached:
            check_reached(self.model, self.objective)
            self._reached = True
        if self.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.step_module.parameters(), self.clip_norm)
        self.optimizer.step()
        self.progress.step += 1
        if self.averaged is not None:
            self.averaged.update(self.model, self.progress.step)
        return names, values

    def _check_finite(self, names: Iterable[str], values: Iterable[float]) -> None:
        bad = {name: value for name, value in zip(names, values) if not abs(value) < float("inf")}
        if "loss" not in bad:  # a term that is not finite makes their sum so; what is only measured may be NaN
            return
        terms = [name for name in bad if name != "loss"] or ["loss"]
        saved = self._save(name="non_finite")
        raise NonFiniteLoss(
            f"{', '.join(f'{name} is {bad[name]}' for name in terms)} in epoch {self.progress.epoch + 1}, step "
            f"{self.progress.step + 1}; training stopped before this step changed a weight.\n"
            f"    The state is saved in {saved}. Usual ways out: a smaller SOLVER.LR, CLIP_NORM 10, PRECISION float32."
        )

    # -- between epochs ------------------------------------------------------------------------------------------

    def _save(self, name: str = "") -> Path:
        """Written by the first process; the others wait, and share its error where it cannot be written."""
        return self.environment.from_main(lambda: self._write(name))

    def _write(self, name: str) -> Path:
        state = TrainerState(
            self.progress,
            self.optimizer.state_dict(),
            threads=torch.get_num_threads(),
            best=self.best,
            processes=self.environment.world,
            ema=self.ema,
        )
        learning = None if self.averaged is None else self.model
        return self.checkpoints.save(self.retrieving, self.objective, state, self.facts, name, training=learning)

    def _evaluate(self) -> None:
        assert self.evaluate is not None
        score = self.evaluate(self.retrieving, self.progress)
        if self.select != "last" and score > self.best.get("score", -1.0):
            self.best = {"epoch": self.progress.epoch, "score": score}
            if self.progress.epoch % self.checkpoint_every:  # the chosen epoch must exist on disk
                self._save()


def place(model: nn.Module, device: torch.device) -> nn.Module:
    """The model on a device, its convolutions in channels_last."""
    return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def check_reached(model: nn.Module, objective: nn.Module) -> None:
    """Stop where a trainable parameter got no gradient at all: a part without its loss is a mistake of the config."""
    named = [*model.named_parameters(), *((f"objective.{name}", p) for name, p in objective.named_parameters())]
    idle = [name for name, parameter in named if parameter.requires_grad and parameter.grad is None]
    if idle:
        shown = ", ".join(idle[:6]) + (f" and {len(idle) - 6} more" if len(idle) > 6 else "")
        raise ConfigError(
            [f"no loss trains these parameters: {shown}; add a term to OBJECTIVE that reads them, or empty their slot"]
        )


def _timed(batches: Iterator[Batch]) -> Iterator[tuple[Batch, float]]:
    """Each batch with the seconds that were spent waiting for it."""
    while True:
        began = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, time.perf_counter() - began
