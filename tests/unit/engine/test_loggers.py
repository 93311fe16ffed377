"""The optional experiment trackers, with modules that record their calls in place of the packages."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from vireid.core.errors import ArgumentError, UserError
from vireid.engine.callbacks import EpochRecord, Scores, StepRecord
from vireid.engine.loggers import MLflowLogger, WandbLogger

STEP = StepRecord({"loss": 2.0, "id": float("nan")}, 0.5, 0.1)
EPOCH = EpochRecord({"loss": 1.5}, 0.25, 0.1, 100.0, 0.01)
SCORES = Scores(0.5, {"all": {"rank1": 0.5}})


def trainer(step: int = 10, *, main: bool = True):
    return SimpleNamespace(environment=SimpleNamespace(is_main=main), progress=SimpleNamespace(step=step, epoch=1))


@pytest.fixture
def calls(monkeypatch):
    """Calls of the two packages: (name, arguments)."""
    recorded: list = []

    def record(name):
        return lambda *arguments, **named: (
            recorded.append((name, arguments, named)) or SimpleNamespace(log=record("log"), finish=record("finish"))
        )

    names = ("set_tracking_uri", "set_experiment", "start_run", "log_metrics", "end_run")
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=record("init")))
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(**{name: record(name) for name in names}))
    return recorded


def run(callback, **settings):
    where = trainer(**settings)
    callback.validate()
    callback.on_train_start(where)
    callback.on_step_end(where, STEP)
    callback.on_epoch_end(where, EPOCH)
    callback.on_evaluation(where, SCORES)
    callback.on_train_end(where)


def test_wandb_gets_steps_epochs_and_evaluations(calls):
    run(WandbLogger(project="p", run_name="n", every=5))
    assert calls[0] == ("init", (), {"project": "p", "name": "n", "id": None, "resume": "allow"})
    step, epoch, evaluation = (values for name, (values,), _ in calls[1:4] if name == "log")
    assert step == {"step/loss": 2.0, "step/grad_norm": 0.5, "step/lr": 0.1}, "NaN is left out"
    assert epoch["epoch/images_per_second"] == 100.0
    assert evaluation == {"evaluation/all/rank1": 0.5}
    assert all(named == {"step": 10} for name, _, named in calls if name == "log")
    assert calls[-1][0] == "finish"


def test_mlflow_gets_the_same(calls):
    run(MLflowLogger(experiment="e", tracking_uri="file:///tmp/x", run_id="r", every=5))
    assert [name for name, _, _ in calls] == [
        "set_tracking_uri",
        "set_experiment",
        "start_run",
        "log_metrics",
        "log_metrics",
        "log_metrics",
        "end_run",
    ]
    assert calls[2][2] == {"run_id": "r"}


@pytest.mark.parametrize(("every", "step", "expected"), [(5, 10, 1), (7, 10, 0), (0, 10, 0)])
def test_steps_are_sent_every_few_steps(calls, every, step, expected):
    callback = WandbLogger(every=every)
    callback.on_train_start(trainer())
    callback.on_step_end(trainer(step), STEP)
    assert sum(name == "log" for name, _, _ in calls) == expected


def test_only_the_main_process_sends(calls):
    run(WandbLogger(), main=False)
    assert calls == []


@pytest.mark.parametrize(("kind", "package"), [(WandbLogger, "wandb"), (MLflowLogger, "mlflow")])
def test_a_missing_package_is_reported_before_the_dataset_is_read(monkeypatch, kind, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=f"{kind.__name__} needs the package {package}: pip install {package}"):
        kind().validate()


def test_a_negative_number_of_steps_is_refused():
    with pytest.raises(ArgumentError) as caught:
        WandbLogger(every=-1)
    assert caught.value.parameter == "every"
