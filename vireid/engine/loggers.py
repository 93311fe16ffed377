"""Optional callbacks that send the log to an experiment tracker: Weights & Biases, MLflow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from vireid.core.errors import ArgumentError, UserError
from vireid.core.registries import CALLBACKS
from vireid.engine.callbacks import Callback, EpochRecord, Scores, StepRecord

if TYPE_CHECKING:
    from vireid.engine.trainer import Trainer


class _Tracker(Callback, ABC):
    """Send numbers of steps, epochs and evaluations to a service, in the main process only.

    Args:
        every: Steps between records of a step; 0: none.
    """

    package: ClassVar[str]
    install: ClassVar[str]

    def __init__(self, *, every: int) -> None:
        if every < 0:
            raise ArgumentError("every", f"must be at least 0, got {every}")
        self.every = every

    def validate(self) -> None:
        self._module()

    def on_train_start(self, trainer: Trainer) -> None:
        if trainer.environment.is_main:
            self._start(self._module())

    def _module(self) -> Any:
        try:
            return import_module(self.package)
        except ImportError as error:
            name = type(self).__name__
            raise UserError(f"CALLBACKS: {name} needs the package {self.package}: {self.install}") from error

    def on_step_end(self, trainer: Trainer, record: StepRecord) -> None:
        if self.every and trainer.progress.step % self.every == 0:
            losses = {name: value for name, value in record.losses.items() if value == value}
            self._send(trainer, "step", {**losses, "grad_norm": record.grad_norm, "lr": record.lr})

    def on_epoch_end(self, trainer: Trainer, record: EpochRecord) -> None:
        speed = {"images_per_second": record.images_per_second, "waiting": record.waiting}
        self._send(trainer, "epoch", {**record.losses, "grad_norm": record.grad_norm, "lr": record.lr, **speed})

    def on_evaluation(self, trainer: Trainer, scores: Scores) -> None:
        for protocol, values in scores.protocols.items():
            self._send(trainer, f"evaluation/{protocol}", values)

    def on_train_end(self, trainer: Trainer) -> None:
        if trainer.environment.is_main:
            self._finish()

    def _send(self, trainer: Trainer, place: str, values: Mapping[str, float]) -> None:
        if trainer.environment.is_main:
            self._log({f"{place}/{name}": value for name, value in values.items()}, trainer.progress.step)

    @abstractmethod
    def _start(self, module: Any) -> None:
        """Open the record of the run with the imported package."""

    @abstractmethod
    def _log(self, values: Mapping[str, float], step: int) -> None:
        """Send numbers of a step."""

    @abstractmethod
    def _finish(self) -> None:
        """Close the record."""


@CALLBACKS.register
class WandbLogger(_Tracker):
    """Log to Weights & Biases (package `wandb`). A resumed run continues its record if `run_id` is set.

    Args:
        project: Name of the project.
        run_name: Name of the run; None: chosen by the service.
        run_id: Identifier of the run, to continue its record; None: a new record.
        every: Steps between records of a step; 0: none.
    """

    package, install = "wandb", "pip install wandb"

    def __init__(
        self, *, project: str = "vireid", run_name: str | None = None, run_id: str | None = None, every: int = 50
    ) -> None:
        super().__init__(every=every)
        self.project, self.run_name, self.run_id = project, run_name, run_id
        self._run: Any = None

    def _start(self, module: Any) -> None:
        self._run = module.init(project=self.project, name=self.run_name, id=self.run_id, resume="allow")

    def _log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def _finish(self) -> None:
        self._run.finish()


@CALLBACKS.register
class MLflowLogger(_Tracker):
    """Log to MLflow (package `mlflow`).

    Args:
        experiment: Name of the experiment.
        tracking_uri: Address or folder of the tracking store; None: the default of MLflow.
        run_id: Identifier of a run, to continue its record; None: a new run.
        every: Steps between records of a step; 0: none.
    """

    package, install = "mlflow", "pip install mlflow"

    def __init__(
        self,
        *,
        experiment: str = "vireid",
        tracking_uri: str | None = None,
        run_id: str | None = None,
        every: int = 50,
    ) -> None:
        super().__init__(every=every)
        self.experiment, self.tracking_uri, self.run_id = experiment, tracking_uri, run_id
        self._mlflow: Any = None

    def _start(self, module: Any) -> None:
        self._mlflow = module
        if self.tracking_uri is not None:
            module.set_tracking_uri(self.tracking_uri)
        module.set_experiment(self.experiment)
        module.start_run(run_id=self.run_id)

    def _log(self, values: Mapping[str, float], step: int) -> None:
        self._mlflow.log_metrics(dict(values), step=step)

    def _finish(self) -> None:
        self._mlflow.end_run()
