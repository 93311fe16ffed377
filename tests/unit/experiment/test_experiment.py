"""Experiment on a few images of noise: what is checked before reading, callbacks, results, the network alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vireid.config import CheckedConfig, load_checked, load_config
from vireid.core.errors import CheckpointError, ConfigError, DataError, UserError
from vireid.core.registries import CALLBACKS
from vireid.engine.callbacks import Callback
from vireid.experiment import Experiment
from vireid.experiment.callbacks import run_callbacks
from vireid.runs.folder import RunFolder

BASE = Path(__file__).parents[3] / "configs" / "csv" / "baseline.yml"


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Overrides of a run of one epoch on a CSV of four training and four test identities."""
    root = tmp_path_factory.mktemp("images")
    rng, lines = np.random.default_rng(0), ["path,identity,camera,modality,split"]
    for identity in range(8):
        for camera, modality in ((1, "visible"), (2, "infrared")):
            for number in range(2):
                name = f"{identity}_{camera}_{number}.png"
                Image.fromarray(rng.integers(0, 256, (32, 16, 3), dtype=np.uint8)).save(root / name)
                split = "train" if identity < 4 else "test"
                lines.append(f"{name},{identity},{camera},{modality},{split}")
    (root / "images.csv").write_text("\n".join(lines))

    def make(out, **changes):
        settings = {
            "DATA.ROOT": root,
            "OUTPUT_DIR": out,
            "CACHE_DIR": root / "cache",
            "SIZE": "[32, 16]",
            "MODEL.BACKBONE.ARCH": "test_resnet",
            "MODEL.BACKBONE.PRETRAINED": "false",
            "AUGMENTATION.CROP.NAME": "none",
            "SAMPLER.IDENTITIES": 2,
            "SAMPLER.PER_MODALITY": 2,
            "SAMPLER.STEPS": 2,
            "SOLVER.EPOCHS": 1,
            "EVALUATION.I2V.SAME_CAMERA": "counted",
            "DEVICE": "cpu",
            "PRECISION": "float32",
            "TENSORBOARD": "false",
            **{key.replace("__", "."): value for key, value in changes.items()},
        }
        return [str(word) for pair in settings.items() for word in pair]

    return make


@pytest.fixture(scope="module")
def trained(words, tmp_path_factory):
    """A finished run and its reports."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return out, Experiment.from_config(BASE, words(out)).train()


def test_a_config_or_a_checked_config_is_taken(words, tmp_path):
    checked = load_checked(BASE, words(tmp_path))
    assert isinstance(checked, CheckedConfig)
    assert Experiment(checked).checked is checked
    assert str(tmp_path) == Experiment(load_config(BASE, words(tmp_path))).config.OUTPUT_DIR


def test_a_faulty_config_is_refused_at_once(words, tmp_path):
    with pytest.raises(ConfigError) as caught:
        Experiment.from_config(BASE, [*words(tmp_path), "SOLVER.EPOCH", "3"])
    (problem,) = caught.value.problems
    assert (problem.key, problem.suggestion) == ("SOLVER.EPOCH", "EPOCHS")


def test_the_reports_are_those_of_the_files_and_of_an_evaluation(trained, words):
    out, reports = trained
    folder = RunFolder(out)
    for file in (folder.config, folder.log, folder.metrics, folder.rankings, folder.queries, folder.features):
        assert file.is_file(), file
    again = Experiment.from_config(BASE, words(out)).evaluate()
    assert {name: report.means for name, report in again.items()} == {n: r.means for n, r in reports.items()}
    assert list(reports) == ["i2v"]
    assert all(report.conditions["checkpoint"] == "last epoch (1)" for report in reports.values())


def test_a_folder_with_a_run_is_refused_without_resume(trained, words):
    out, reports = trained
    with pytest.raises(UserError, match="resume"):
        Experiment.from_config(BASE, words(out)).train()
    resumed = Experiment.from_config(BASE, words(out)).train(resume=True)
    assert resumed["i2v"].means == reports["i2v"].means


def test_a_run_is_not_continued_with_another_config(trained, words):
    with pytest.raises(UserError, match="SEED was 0, is 1"):
        Experiment.from_config(BASE, words(trained[0], SEED=1)).train(resume=True)


def test_the_network_needs_no_dataset(trained, words, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(trained[0], out)
    experiment = Experiment.from_config(BASE, words(out, DATA__ROOT=tmp_path / "gone"))
    model, selection, _ = experiment.deployed()
    assert selection == "last epoch (1)"
    own = Experiment.from_config(BASE, words(trained[0])).network().state_dict()
    assert all(torch.equal(value, own[name]) for name, value in model.state_dict().items())
    with pytest.raises(DataError, match="gone"):
        experiment.evaluate()


def test_initial_weights_are_a_function_of_the_seed(words, tmp_path):
    def initial(seed):
        experiment = Experiment.from_config(BASE, words(tmp_path, SEED=seed))
        return experiment._parts(experiment.build.info, pretrained=True)[0].state_dict()

    first, same, other = initial(0), initial(0), initial(1)
    assert all(torch.equal(value, same[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_the_order_of_the_callbacks_is_fixed(words, tmp_path):
    experiment = Experiment.from_config(BASE, words(tmp_path, EMA=0.9, EVALUATE_EVERY=1))
    added = Callback()
    callbacks = run_callbacks(experiment.build, experiment.folder, None, None, [added], samples=[])
    names = [type(each).__name__ for each in callbacks]
    assert names == [
        "WeightAverage",
        "FreezeParts",
        "TrainingLog",
        "EvaluateBetweenEpochs",
        "Callback",
        "SaveCheckpoints",
    ]


@pytest.fixture
def demanding():
    """A registered callback that refuses to run."""

    class Demanding(Callback):
        def validate(self):
            raise UserError("a package is missing")

    CALLBACKS.register(Demanding)
    yield
    del CALLBACKS._entries["Demanding"]


def test_what_is_missing_is_reported_before_the_dataset_is_read(words, tmp_path, demanding):
    gone = {"DATA__ROOT": tmp_path / "gone"}
    with pytest.raises(CheckpointError, match="WEIGHTS"):
        Experiment.from_config(BASE, words(tmp_path, WEIGHTS=tmp_path / "no.safetensors", **gone)).train()
    with pytest.raises(UserError, match="a package is missing"):
        Experiment.from_config(BASE, words(tmp_path, CALLBACKS__MINE__NAME="Demanding", **gone)).train()
    assert not RunFolder(tmp_path).log.exists()


def test_there_must_be_a_checkpoint_to_evaluate(words, tmp_path):
    with pytest.raises(CheckpointError, match="holds no checkpoint to evaluate"):
        Experiment.from_config(BASE, words(tmp_path / "empty")).evaluate()


def test_more_identities_cannot_be_held_out_than_there_are(words, tmp_path):
    changes = {"HELDOUT_IDENTITIES": 4, "SELECT": "heldout", "EVALUATE_EVERY": 1}
    with pytest.raises(DataError, match="HELDOUT_IDENTITIES = 4, but the training set has only 4 identities"):
        Experiment.from_config(BASE, words(tmp_path, **changes)).train()
