"""The training loop with a tiny network: hooks, selection, checkpoints, the finite check, the gradient norm."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from vireid.core.errors import ConfigError, NonFiniteLoss
from vireid.core.types import ModelOutput
from vireid.engine.callbacks import (
    Callback,
    EvaluateBetweenEpochs,
    FreezeParts,
    SaveCheckpoints,
    Scores,
    TrainingLog,
    WeightAverage,
    named_callbacks,
)
from vireid.engine.checkpoint import CheckpointFolder
from vireid.engine.distributed import Environment
from vireid.engine.optim import SGD, parameter_groups
from vireid.engine.trainer import Trainer
from vireid.losses.objective import Objective, Term
from vireid.runs.log import JsonLines
from vireid.testing import tiny_batch

STEPS = 3


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, batch):
        return ModelOutput({"features": self.second(self.norm(self.first(batch.images.mean(dim=(2, 3)))))}, None)


class Loss(nn.Module):
    """Mean square of the features; `factor` is what a test changes."""

    factor = 1.0

    def forward(self, features):
        return self.factor * features.square().mean()


class Batches:
    def steps(self):
        return STEPS

    def epoch(self, epoch):
        for step in range(STEPS):
            yield tiny_batch(identities=2, per_modality=2, seed=10 * epoch + step)


class Recorder(Callback):
    """Records the hooks that are called, and keeps a number that a checkpoint stores."""

    def __init__(self):
        self.hooks, self.number = [], 0
        for hook in ("setup", "on_train_start", "on_epoch_start", "on_step_end", "on_epoch_end", "on_evaluation"):
            setattr(self, hook, lambda trainer, *rest, hook=hook: self.hooks.append(hook))
        self.on_train_end = lambda trainer: self.hooks.append("on_train_end")

    def state_dict(self):
        return {"number": self.number}

    def load_state_dict(self, state):
        self.number = state["number"]


@pytest.fixture
def make(tmp_path):
    """A trainer of the tiny network in a folder."""

    def build(*callbacks, epochs=2, folder="run", loss=None, **settings):
        torch.manual_seed(0)
        net = Net()
        objective = Objective({"square": Term(loss or Loss())}, provided={"features"})
        return Trainer(
            model=net,
            objective=objective,
            optimizer=SGD(parameter_groups(net, objective, {}), lr=0.1),
            schedule=lambda epoch: 1.0,
            batches=Batches(),
            augment=lambda batch, **place: batch,
            environment=Environment(device="cpu", precision="float32"),
            checkpoints=CheckpointFolder(tmp_path / folder / "checkpoints"),
            epochs=epochs,
            callbacks=callbacks,
            say=lambda text: None,
            **settings,
        )

    return build


def weights(trainer):
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def test_hooks_are_called_in_the_order_of_the_run(make):
    recorder = Recorder()
    evaluate = EvaluateBetweenEpochs(lambda model, progress: Scores(0.5), every=2)
    make(evaluate, recorder, epochs=2).fit()
    epoch = ["on_epoch_start", *["on_step_end"] * STEPS]
    expected = ["setup", "on_train_start", *epoch, "on_epoch_end", *epoch, "on_evaluation", "on_epoch_end"]
    assert recorder.hooks == [*expected, "on_train_end"]


def test_a_resumed_run_has_the_weights_of_one_that_was_not_interrupted(make):
    def callbacks():
        return WeightAverage(0.9), FreezeParts({"first": 2}), SaveCheckpoints(every=1)

    whole = make(*callbacks(), epochs=3, folder="whole")
    whole.fit()
    make(*callbacks(), epochs=1, folder="pieces").fit()
    resumed = make(*callbacks(), epochs=3, folder="pieces")
    assert resumed.resume()
    resumed.fit()
    for ours, theirs in ((whole.model, resumed.model), (whole.evaluated_model, resumed.evaluated_model)):
        state = theirs.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())
    assert not torch.equal(whole.model.second.weight, whole.evaluated_model.second.weight)


def test_nothing_to_resume(make):
    assert make(SaveCheckpoints()).resume() is False


def test_the_state_of_a_callback_is_in_the_checkpoint(make):
    recorder = Recorder()
    recorder.number = 7
    make(recorder, SaveCheckpoints(), epochs=1).fit()
    other = Recorder()
    make(other, SaveCheckpoints(), epochs=2).resume()
    assert other.number == 7


def test_callbacks_of_one_class_have_names_of_their_own():
    assert list(named_callbacks([Recorder(), Recorder(), SaveCheckpoints()])) == [
        "Recorder",
        "Recorder_2",
        "SaveCheckpoints",
    ]


def test_the_best_epoch_is_selected_and_its_checkpoint_exists(make):
    scores = {1: 0.2, 2: 0.9, 3: 0.4}
    evaluate = EvaluateBetweenEpochs(lambda model, progress: Scores(scores[progress.epoch]), every=1, select=True)
    trainer = make(evaluate, SaveCheckpoints(every=5), epochs=3)
    trainer.fit()
    assert trainer.selected_epoch() == 2
    assert trainer.best == {"epoch": 2, "score": 0.9}
    assert {2, 3} <= set(trainer.checkpoints.epochs())
    plain = make(EvaluateBetweenEpochs(lambda model, progress: Scores(1.0), every=1), folder="plain")
    plain.fit()
    assert plain.selected_epoch() == 2, "without selection the last epoch counts"


@pytest.mark.parametrize("clip_norm", [0.0, 1e-3])
def test_the_logged_norm_is_that_of_the_gradient_before_clipping(make, clip_norm):
    records = []
    watch = SimpleNamespace()
    trainer = make(epochs=1, clip_norm=clip_norm)

    class Watch(Callback):
        def on_step_end(self, trainer, record):
            records.append(record)

    trainer.callbacks = [Watch()]
    backward = trainer.environment.accelerator.backward

    def keep(total):
        backward(total)
        gradients = [p.grad.flatten() for p in trainer.step_module.parameters() if p.grad is not None]
        watch.norm = torch.cat(gradients).norm().item()

    trainer.environment.accelerator.backward = keep
    trainer.fit()
    assert records[-1].grad_norm == pytest.approx(watch.norm, rel=1e-5)
    left = torch.cat([p.grad.flatten() for p in trainer.step_module.parameters() if p.grad is not None]).norm().item()
    assert left == pytest.approx(clip_norm or watch.norm, rel=1e-3)


@pytest.mark.parametrize(
    ("loss", "named"),
    [(float("nan"), "square is nan"), (float("inf"), "square is inf")],
)
def test_training_stops_before_a_step_that_is_not_finite(make, loss, named):
    term = Loss()
    trainer = make(TrainingLog(JsonLines(make(folder="log").checkpoints.folder / "log.jsonl")), loss=term)
    reference = weights(trainer)

    class Spoil(Callback):
        def on_step_end(self, trainer, record):
            reference.update(weights(trainer))
            term.factor = loss

    trainer.callbacks = [*trainer.callbacks, Spoil()]
    with pytest.raises(NonFiniteLoss, match=rf"{named} in epoch 1, step 2; training stopped before this step"):
        trainer.fit()
    assert torch.equal(trainer.model.first.weight, reference["first.weight"])
    assert (trainer.checkpoints.folder / "non_finite" / "meta.json").is_file()


def test_a_gradient_that_is_not_finite_stops_the_training(make):
    class Steep(nn.Module):
        def forward(self, features):
            return (features * 0).abs().sqrt().sum()  # value 0, gradient infinite or NaN

    trainer = make(loss=Steep())
    before = weights(trainer)
    with pytest.raises(NonFiniteLoss, match=r"the gradient is (nan|inf)"):
        trainer.fit()
    assert torch.equal(trainer.model.first.weight, before["first.weight"])


def test_a_parameter_without_a_loss_is_a_mistake(make):
    trainer = make()
    trainer.model.idle = nn.Linear(2, 2)
    with pytest.raises(ConfigError, match=r"no loss trains these parameters: idle\.weight, idle\.bias"):
        trainer.fit()


def test_the_log_has_steps_epochs_and_evaluations(make, tmp_path):
    log = JsonLines(tmp_path / "log.jsonl")
    scores = Scores(0.5, {"all": {"rank1": 0.5, "mAP": 0.25}})
    lines = []
    make(
        TrainingLog(log, every=2, say=lines.append),
        EvaluateBetweenEpochs(lambda model, progress: scores, every=1),
        epochs=1,
    ).fit()
    records = log.read()
    assert [record["event"] for record in records] == ["step", "epoch", "evaluation"]
    assert records[0].keys() == {"event", "epoch", "step", "lr", "loss", "square", "grad_norm"}
    assert records[1]["grad_norm"] > 0
    assert records[2]["rank1"] == 0.5
    assert lines[0].startswith("epoch 1/1  loss ")
    assert "grad_norm" not in lines[0]
    assert lines[1] == "    all: rank-1 50.0  mAP 25.0"
