"""A model of one dataset is evaluated on another one, and a training on another one starts from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vireid.core.errors import CheckpointError
from vireid.experiment import Experiment
from vireid.interop.weights import write_weights

CONFIGS = Path(__file__).parents[2] / "configs"
CLASSIFIER = "heads.id.classifier.weight"


@pytest.fixture(scope="module")
def experiment(layouts, cache):
    """Make a small experiment of a composition: name, output folder, overrides."""

    def make(name: str, out: Path, **changes: object) -> Experiment:
        settings = {
            "DATA.ROOT": layouts(name.partition("/")[0]),
            "CACHE_DIR": cache,
            "OUTPUT_DIR": out,
            "SIZE": "[64, 32]",
            "MODEL.BACKBONE.ARCH": "test_resnet",
            "MODEL.BACKBONE.PRETRAINED": "false",
            "SAMPLER.IDENTITIES": 2,
            "SAMPLER.PER_MODALITY": 2,
            "SAMPLER.STEPS": 2,
            "SOLVER.EPOCHS": 1,
            "DEVICE": "cpu",
            "PRECISION": "float32",
            "TENSORBOARD": "false",
            **{key.replace("__", "."): value for key, value in changes.items()},
        }
        words = [str(word) for pair in settings.items() for word in pair]
        return Experiment.from_config(CONFIGS / f"{name}.yml", words)

    return make


@pytest.fixture(scope="module")
def weights(experiment, tmp_path_factory) -> Path:
    """A checkpoint of the SYSU-MM01 layout."""
    out = tmp_path_factory.mktemp("sysu") / "run"
    reports = experiment("sysu/baseline", out).train()
    assert all("cross_dataset" not in report.conditions for report in reports.values())
    return out / "checkpoints" / "epoch_0001"


def classifier(path: Path) -> torch.Tensor:
    return load_file(path / "model.safetensors")[CLASSIFIER]


def test_a_model_is_evaluated_on_a_dataset_with_other_identities(experiment, weights, tmp_path):
    other = experiment("regdb/baseline", tmp_path, WEIGHTS=weights)
    assert len(classifier(weights)) != other.build.dataset().facts().num_ids
    for report in other.evaluate().values():
        assert report.conditions["cross_dataset"] == "trained on SysuMM01"
    assert "cross-dataset trained on SysuMM01" in str(report)


def test_a_file_without_classifier_is_evaluated(experiment, weights, tmp_path):
    tensors = load_file(weights / "model.safetensors")
    del tensors[CLASSIFIER]
    save_file(tensors, tmp_path / "bare.safetensors")
    bare = experiment("regdb/baseline", tmp_path / "bare", WEIGHTS=tmp_path / "bare.safetensors").evaluate()
    whole = experiment("regdb/baseline", tmp_path / "whole", WEIGHTS=weights).evaluate()
    assert [report.means for report in bare.values()] == [report.means for report in whole.values()]


def test_other_tensors_must_fit(experiment, weights, tmp_path):
    tensors = load_file(weights / "model.safetensors")
    del tensors["heads.id.neck.running_mean"]
    save_file(tensors, tmp_path / "bare.safetensors")
    with pytest.raises(CheckpointError, match=r"heads\.id\.neck\.running_mean is missing"):
        experiment("regdb/baseline", tmp_path / "run", WEIGHTS=tmp_path / "bare.safetensors").evaluate()


def test_a_training_starts_from_weights_of_other_identities(experiment, weights, tmp_path, capsys):
    still = {"SOLVER.LR": 0.0, "SOLVER.SCHEDULE.NAME": "none"}
    initial = experiment("regdb/baseline", tmp_path / "new", **still)
    initial.train()
    capsys.readouterr()
    tuned = experiment("regdb/baseline", tmp_path / "tuned", WEIGHTS=weights, **still)
    reports = tuned.train()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note:") and CLASSIFIER in line]
    assert len(lines) == 1
    assert "identities of SysuMM01; not loaded, because they belong to those identities" in lines[0]
    assert all("cross_dataset" not in report.conditions for report in reports.values())
    first, last = (load_file(tmp_path / run / "checkpoints/epoch_0001/model.safetensors") for run in ("new", "tuned"))
    assert torch.equal(first[CLASSIFIER], last[CLASSIFIER])  # that of the new model, not trained with a rate of 0
    source = load_file(weights / "model.safetensors")
    same = [name for name in source if name.startswith("backbone.") and name.endswith("conv1.weight")]
    assert same
    assert all(torch.equal(source[name], last[name]) for name in same)
    assert not any(torch.equal(source[name], first[name]) for name in same)


def test_the_same_dataset_keeps_its_classifier(experiment, weights, tmp_path, capsys):
    still = {"SOLVER.LR": 0.0, "SOLVER.SCHEDULE.NAME": "none"}
    experiment("sysu/baseline", tmp_path, WEIGHTS=weights, **still).train()
    assert "not loaded" not in capsys.readouterr().out
    assert torch.equal(classifier(tmp_path / "checkpoints/epoch_0001"), classifier(weights))


def test_the_same_number_of_other_identities_is_no_reason_to_keep_a_classifier(experiment, weights, tmp_path, capsys):
    still = {"SOLVER.LR": 0.0, "SOLVER.SCHEDULE.NAME": "none"}
    tensors = load_file(weights / "model.safetensors")
    number = len(tensors[CLASSIFIER])
    write_weights(tmp_path / "w.safetensors", tensors, {"data": "LLCM", "num_ids": number})
    experiment("sysu/baseline", tmp_path / "run", WEIGHTS=tmp_path / "w.safetensors", **still).train()
    assert f"trained on {number} identities of LLCM" in capsys.readouterr().out
    assert not torch.equal(classifier(tmp_path / "run/checkpoints/epoch_0001"), tensors[CLASSIFIER])
