"""Every composition in configs/ checks, builds on a tiny backbone and comes back from its resolved form."""

from pathlib import Path

import pytest
import torch

from vireid.config import assemble, explain
from vireid.config.loader import load_config
from vireid.config.plan import make_plan
from vireid.config.slots import SLOTS
from vireid.config.text import parse
from vireid.core.types import Facts, Progress
from vireid.engine.optim import parameter_groups

CONFIGS = Path(__file__).parents[2] / "configs"
PARTS = ("datasets", "methods", "plugins")  # folders of files that are parts of compositions
COMPOSITIONS = sorted(p for p in CONFIGS.rglob("*.yml") if p.relative_to(CONFIGS).parts[0] not in PARTS)
TINY = {"MODEL.BACKBONE.ARCH": "resnet10t", "MODEL.BACKBONE.PRETRAINED": False}
FACTS = Facts(num_ids=5, num_cameras=6)

composition = pytest.mark.parametrize("path", COMPOSITIONS, ids=lambda path: str(path.relative_to(CONFIGS)))


def test_there_are_compositions():
    assert {"sysu/mmd.yml", "sysu/baseline.yml", "demo/sysu_mmd.yml"} <= {
        str(path.relative_to(CONFIGS)) for path in COMPOSITIONS
    }


@composition
def test_checks_as_it_is(path):
    assert assemble.problems(load_config(path)) == []


@composition
def test_builds_and_takes_a_step(path, batch):
    config = load_config(path, TINY)
    model = assemble.model(config, FACTS)
    objective = assemble.objective(config, FACTS, model)
    total, terms = objective(batch, model(batch), Progress())
    assert torch.isfinite(total)
    assert set(terms) == {name.lower() for name in config.OBJECTIVE}
    model.eval()
    assert model.describe(batch).shape[0] == len(batch)
    groups = parameter_groups(model, objective, assemble.lr_scale(config))
    assert assemble.optimizer(config, groups).defaults["lr"] == config.SOLVER.LR
    assert 0 < assemble.lr_schedule(config)(0) <= 1
    assert assemble.epochs(config) >= 1
    assert list(assemble.evaluators(config)) == [name.lower() for name in config.EVALUATION]


@composition
def test_resolved_form_is_a_fixed_point(path, tmp_path):
    config = load_config(path)
    explain.write_resolved(config, tmp_path / "config.yml")
    again = load_config(tmp_path / "config.yml")
    assert explain.resolved_tree(again) == explain.resolved_tree(config)
    assert explain.differences((tmp_path / "config.yml").read_text(), config) == []
    assert [path.name for path in tmp_path.iterdir()] == ["config.yml"]
    before, after = make_plan(config), make_plan(again)
    for slot in SLOTS:
        assert _names(before.parts[slot.key]) == _names(after.parts[slot.key])


def _names(part):
    return {name: _names(each) for name, each in part.items()} if isinstance(part, dict) else part and part.entry.name


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yml")), ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_file_is_plain_yaml(path):
    assert parse(path.read_text(encoding="utf-8")).problems == []


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("datasets/*.yml")), ids=lambda path: path.name)
def test_datasets_hold_reader_augmentation_and_protocols_only(path):
    assert set(parse(path.read_text(encoding="utf-8")).value) <= {"DATA", "AUGMENTATION", "EVALUATION"}


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("methods/*.yml")), ids=lambda path: path.name)
def test_methods_hold_model_objective_and_solver_only(path):
    assert set(parse(path.read_text(encoding="utf-8")).value) <= {"_BASE_", "MODEL", "OBJECTIVE", "SOLVER"}


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("plugins/*.yml")), ids=lambda path: path.name)
def test_plugins_have_no_base(path):
    assert "_BASE_" not in parse(path.read_text(encoding="utf-8")).value, "it would win over the method's changes"


# Released hyper-parameters, from methods/mmd.md section 5 and methods/agw.md sections 3 to 5.


def test_values_of_mmd():
    tree = explain.resolved_tree(load_config(CONFIGS / "sysu" / "mmd.yml"))
    assert tree["SIZE"] == [288, 144]
    assert tree["SAMPLER"] | {"NAME": ""} == {"NAME": "", "IDENTITIES": 4, "PER_MODALITY": 4, "STEPS": None}
    backbone = {"ARCH": "resnet50.tv_in1k", "SHARE_FROM": 3, "LAST_STRIDE": 1, "PRETRAINED": True}
    assert backbone.items() <= tree["MODEL"]["BACKBONE"].items()
    assert tree["MODEL"]["POOL"] == {"NAME": "GeM", "P": 3.0}
    assert tree["MODEL"]["DESCRIPTOR"] == ["features_bn"]
    terms = tree["OBJECTIVE"]
    assert list(terms) == ["ID", "TRIPLET", "MMD"]
    assert terms["ID"] == {"NAME": "IdentityCrossEntropy", "SMOOTHING": 0.0}
    assert terms["TRIPLET"] == {"NAME": "HeteroCenterTriplet", "MARGIN": 0.3, "WEIGHT": 2.0}
    mmd = {"NAME": "MarginMMD", "MARGIN": 1.4, "MODE": "threshold", "WEIGHT": 0.25, "KERNEL_MUL": 2.0, "KERNEL_NUM": 5}
    assert terms["MMD"] == mmd
    assert tree["SOLVER"] == SOLVER | {"EPOCHS": 61}
    assert tree["AUGMENTATION"] == {
        "CROP": {"NAME": "PadCrop", "PADDING": 10},
        "FLIP": {"NAME": "HorizontalFlip", "PROBABILITY": 0.5},
    }


def test_values_of_the_baseline():
    tree = explain.resolved_tree(load_config(CONFIGS / "sysu" / "baseline.yml"))
    assert tree["SIZE"] == [288, 144]
    assert tree["SAMPLER"] | {"NAME": ""} == {"NAME": "", "IDENTITIES": 8, "PER_MODALITY": 4, "STEPS": None}
    backbone = {"ARCH": "resnet50.tv_in1k", "SHARE_FROM": 1, "LAST_STRIDE": 1, "PRETRAINED": True}
    assert backbone.items() <= tree["MODEL"]["BACKBONE"].items()
    assert tree["MODEL"]["POOL"] == {"NAME": "AveragePool"}
    assert list(tree["OBJECTIVE"]) == ["ID", "TRIPLET"]
    assert tree["OBJECTIVE"]["TRIPLET"] == {"NAME": "BatchHardTriplet", "MARGIN": 0.3}
    assert tree["SOLVER"] == SOLVER | {"EPOCHS": 81}


SOLVER = {
    "NAME": "SGD",
    "LR": 0.1,
    "MOMENTUM": 0.9,
    "NESTEROV": True,
    "WEIGHT_DECAY": 5e-4,
    "LR_SCALE": {"backbone": 0.1},
    "SCHEDULE": {"NAME": "WarmupSteps", "WARMUP": 10, "DROPS": [20, 50], "FACTOR": 0.1},
}
