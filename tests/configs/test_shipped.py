"""Every composition in configs/ checks, builds on a tiny backbone and comes back from its resolved form."""

from pathlib import Path

import pytest
import torch

from vireid.config import Build, check_config, load_checked
from vireid.config import show as explain
from vireid.config.check import problems_of
from vireid.config.load import read_unchecked
from vireid.config.schema import SLOTS
from vireid.config.yaml import parse
from vireid.core.types import DatasetInfo, Progress
from vireid.engine.optim import parameter_groups
from vireid.testing import tiny_batch

CONFIGS = Path(__file__).parents[2] / "configs"
PARTS = ("datasets", "methods", "plugins")  # folders of files that are parts of compositions
COMPOSITIONS = sorted(p for p in CONFIGS.rglob("*.yml") if p.relative_to(CONFIGS).parts[0] not in PARTS)
TINY = {"MODEL.BACKBONE.ARCH": "test_resnet", "MODEL.BACKBONE.PRETRAINED": False}
FACTS = DatasetInfo(num_ids=5, num_cameras=6, num_attributes=8)

composition = pytest.mark.parametrize("path", COMPOSITIONS, ids=lambda path: str(path.relative_to(CONFIGS)))


def test_there_are_compositions():
    methods = ("baseline", "agw", "hct", "mmd")
    expected = {f"{dataset}/{method}.yml" for dataset in ("sysu", "regdb", "llcm") for method in methods}
    assert expected | {"demo/sysu_mmd.yml"} <= {str(path.relative_to(CONFIGS)) for path in COMPOSITIONS}


@composition
def test_checks_as_it_is(path):
    assert problems_of(read_unchecked(path)) == []


@composition
def test_builds_and_takes_a_step(path):
    config, batch = read_unchecked(path, TINY), tiny_batch(size=(96, 32))  # a map of 6 rows, one for each stripe
    model = Build(check_config(config), FACTS).model()
    objective = Build(check_config(config), FACTS).objective(model)
    total, terms = objective(batch, model(batch), Progress())
    assert torch.isfinite(total)
    used = {name.lower() for name, node in config.OBJECTIVE.items() if node.NAME != "none"}
    assert {name.split("/")[0] for name in terms} == used
    model.eval()
    assert model.embed(batch).shape[0] == len(batch)
    groups = parameter_groups(model, objective, Build(check_config(config)).lr_scale())
    assert Build(check_config(config)).optimizer(groups).defaults["lr"] == config.SOLVER.LR
    assert 0 < Build(check_config(config)).lr_schedule()(0) <= 1
    assert Build(check_config(config)).epochs() >= 1
    assert list(Build(check_config(config)).evaluators()) == [name.lower() for name in config.EVALUATION]


@composition
def test_resolved_form_is_a_fixed_point(path, tmp_path):
    config = read_unchecked(path)
    explain.write_resolved(check_config(config), tmp_path / "config.yml")
    again = read_unchecked(tmp_path / "config.yml")
    assert explain.resolved_tree(check_config(again)) == explain.resolved_tree(check_config(config))
    assert explain.differences((tmp_path / "config.yml").read_text(), check_config(config)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["config.yml"]
    before, after = check_config(config).components, check_config(again).components
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


# views and what is done to them are the method where it teaches by them
METHOD = {"_BASE_", "MODEL", "OBJECTIVE", "SOLVER", "VIEWS", "AUGMENTATION", "FLIP_TEST", "GATHER_FEATURES"}


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("methods/*.yml")), ids=lambda path: path.name)
def test_methods_hold_no_data_and_no_sampler(path):
    assert set(parse(path.read_text(encoding="utf-8")).value) <= METHOD


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("plugins/*.yml")), ids=lambda path: path.name)
def test_plugins_have_no_base(path):
    assert "_BASE_" not in parse(path.read_text(encoding="utf-8")).value, "it would win over the method's changes"


# Hyper-parameters of the released code of MMD-ReID and AGW.


def test_values_of_mmd():
    tree = explain.resolved_tree(load_checked(CONFIGS / "sysu" / "mmd.yml"))
    assert tree["SIZE"] == [288, 144]
    assert tree["SAMPLER"] | {"NAME": ""} == {"NAME": "", "IDENTITIES": 4, "PER_MODALITY": 4, "STEPS": None}
    backbone = {"ARCH": "resnet50.tv_in1k", "SHARE_FROM": 3, "LAST_STRIDE": 1, "PRETRAINED": True}
    assert backbone.items() <= tree["MODEL"]["BACKBONE"].items()
    assert tree["MODEL"]["POOL"] == {"NAME": "GeM", "P": 3.0, "LEARN": False}
    assert tree["MODEL"]["DESCRIPTOR"] == ["features_bn"]
    terms = tree["OBJECTIVE"]
    assert list(terms) == ["ID", "TRIPLET", "MMD"]
    assert terms["ID"] == {"NAME": "IdentityCrossEntropy", "SMOOTHING": 0.0}
    assert terms["TRIPLET"] == {"NAME": "HeteroCenterTriplet", "MARGIN": 0.3, "WEIGHT": 2.0}
    mmd = {"NAME": "MarginMMD", "MARGIN": 1.4, "MODE": "threshold", "WEIGHT": 0.25, "KERNEL_MUL": 2.0, "KERNEL_NUM": 5}
    assert terms["MMD"] == mmd
    assert tree["SOLVER"] == SOLVER | {"EPOCHS": 61}
    assert tree["AUGMENTATION"] == {
        "CROP": {"NAME": "PadCrop", "PADDING": 10, "FILL": 0},
        "FLIP": {"NAME": "HorizontalFlip", "PROBABILITY": 0.5},
    }


def test_values_of_the_baseline():
    tree = explain.resolved_tree(load_checked(CONFIGS / "sysu" / "baseline.yml"))
    assert tree["SIZE"] == [288, 144]
    assert tree["SAMPLER"] | {"NAME": ""} == {"NAME": "", "IDENTITIES": 8, "PER_MODALITY": 4, "STEPS": None}
    backbone = {"ARCH": "resnet50.tv_in1k", "SHARE_FROM": 1, "LAST_STRIDE": 1, "PRETRAINED": True}
    assert backbone.items() <= tree["MODEL"]["BACKBONE"].items()
    assert tree["MODEL"]["POOL"] == {"NAME": "AveragePool"}
    assert list(tree["OBJECTIVE"]) == ["ID", "TRIPLET"]
    assert tree["OBJECTIVE"]["TRIPLET"] == {"NAME": "BatchHardTriplet", "MARGIN": 0.3}
    assert tree["SOLVER"] == SOLVER | {"EPOCHS": 81}


def batch_of(tree):
    return tree["SAMPLER"]["IDENTITIES"], tree["SAMPLER"]["PER_MODALITY"]


@pytest.mark.parametrize("dataset", ["sysu", "regdb", "llcm"])
def test_values_of_agw(dataset):
    tree = explain.resolved_tree(load_checked(CONFIGS / dataset / "agw.yml"))
    assert tree["SIZE"] == [288, 144]
    assert batch_of(tree) == (8, 4)
    backbone = tree["MODEL"]["BACKBONE"]
    assert backbone["SHARE_FROM"] == 1
    assert backbone["INSERTS"] == {name: {"NAME": "NonLocal", "COUNT": n} for name, n in (("STAGE2", 2), ("STAGE3", 3))}
    assert tree["MODEL"]["POOL"] == {"NAME": "GeM", "P": 3.0, "LEARN": False}
    triplet = {"NAME": "WeightedRegularizedTriplet", "RELEASED_EPS": True, "NORMALIZE": False}
    assert tree["OBJECTIVE"] == {"ID": {"NAME": "IdentityCrossEntropy", "SMOOTHING": 0.0}, "TRIPLET": triplet}
    assert tree["SOLVER"] == SOLVER | {"EPOCHS": 81}


@pytest.mark.parametrize("dataset", ["sysu", "regdb", "llcm"])
@pytest.mark.parametrize("method", ["baseline", "agw", "hct", "mmd"])
def test_only_the_release_with_llcm_erases(dataset, method):
    steps = explain.resolved_tree(load_checked(CONFIGS / dataset / f"{method}.yml"))["AUGMENTATION"]
    erased = (dataset, method) in (("llcm", "baseline"), ("llcm", "agw"))
    assert list(steps) == ["CROP", "FLIP", *(["ERASING"] if erased else [])]
    if erased:
        assert steps["ERASING"]["FILL"] == [0.0, 0.0, 0.0]
        assert steps["ERASING"]["PROBABILITY"] == 0.5


@pytest.mark.parametrize(
    ("dataset", "batch", "p", "weight", "smoothing"),
    [("sysu", (6, 8), 3.0, 1.0, 0.0), ("regdb", (8, 4), 10.0, 2.0, 0.1), ("llcm", (8, 4), 3.0, 1.0, 0.0)],
)
def test_values_of_hct(dataset, batch, p, weight, smoothing):
    tree = explain.resolved_tree(load_checked(CONFIGS / dataset / "hct.yml"))
    assert tree["SIZE"] == [288, 144]
    assert batch_of(tree) == batch
    assert tree["MODEL"]["BACKBONE"]["SHARE_FROM"] == 2
    assert tree["MODEL"]["HEADS"] == {"PARTS": {"NAME": "StripeHead", "NUM_PARTS": 6, "DIM": 256, "P": p}}
    assert tree["MODEL"]["DESCRIPTOR"] == ["features"]
    triplet = {"NAME": "HeteroCenterTriplet", "MARGIN": 0.3}
    identity = {"NAME": "IdentityCrossEntropy", "SMOOTHING": smoothing}
    assert tree["OBJECTIVE"] == {
        "ID": {"NAME": "PerPart", "OVER": "part_logits", "LOSS": identity},
        "TRIPLET": triplet,
        "PART_TRIPLET": {"NAME": "PerPart", "OVER": "part_features", "LOSS": triplet, "WEIGHT": weight},
    }
    assert tree["SOLVER"] == SOLVER | {"EPOCHS": 61}


@pytest.mark.parametrize("dataset", ["sysu", "regdb", "llcm"])
def test_the_batch_of_mmd_fits_its_margin(dataset):
    tree = explain.resolved_tree(load_checked(CONFIGS / dataset / "mmd.yml"))
    assert batch_of(tree) == (4, 4)
    assert tree["OBJECTIVE"]["MMD"]["MARGIN"] == 1.4


SOLVER = {
    "NAME": "SGD",
    "LR": 0.1,
    "MOMENTUM": 0.9,
    "NESTEROV": True,
    "WEIGHT_DECAY": 5e-4,
    "LR_SCALE": {"backbone": 0.1},
    "SCHEDULE": {"NAME": "WarmupSteps", "WARMUP": 10, "DROPS": [20, 50], "FACTOR": 0.1},
}


def test_values_of_paenet_as_in_its_paper():
    tree = explain.resolved_tree(load_checked(CONFIGS / "sysu" / "paenet_paper.yml"))
    assert batch_of(tree) == (8, 4)
    assert tree["MODEL"]["BACKBONE"]["SHARE_FROM"] == 1
    assert {name: term.get("WEIGHT", 1.0) for name, term in tree["OBJECTIVE"].items()} == dict.fromkeys(
        ["ID", "TRIPLET", "MMD", "ATTRIBUTES"], 1.0
    )
    assert tree["SOLVER"]["EPOCHS"] == 80
    assert tree["SOLVER"]["SCHEDULE"]["DROPS"] == [30, 50]
    assert tree["MODEL"]["ADAPTER"]["NAME"] == "ProgressiveAttributeEmbedding"
    assert list(tree["MODEL"]["ADAPTER"]["STAGES"]) == ["EMB1", "EMB2", "EMB3"]
    assert tree["MODEL"]["ADAPTER"]["STAGES"]["EMB2"]["WIDTH"] is None
    assert tree["MODEL"]["ADAPTER"]["STAGES"]["EMB3"]["WIDTH"] is None
    assert tree["MODEL"]["ATTRIBUTES"]["TEST"] == "labels"


def test_values_of_paenet_as_released():
    tree = explain.resolved_tree(load_checked(CONFIGS / "sysu" / "paenet_released.yml"))
    assert batch_of(tree) == (4, 4)
    assert tree["MODEL"]["BACKBONE"]["SHARE_FROM"] == 3
    weights = {name: term.get("WEIGHT", 1.0) for name, term in tree["OBJECTIVE"].items()}
    assert weights == {"ID": 1.0, "TRIPLET": 2.0, "MMD": 0.25, "ATTRIBUTES": 1.0}
    assert tree["SOLVER"] == SOLVER | {
        "EPOCHS": 61,
        "LR_SCALE": {"backbone": 0.1, "adapter.region": 0.1, "heads.id.neck": 0.1},
    }
    assert tree["MODEL"]["ADAPTER"] == {"NAME": "ReleasedPAE", "DROPOUT": True}
    assert tree["MODEL"]["ATTRIBUTES"]["TEST"] == "labels"


def test_table_4_differs_from_the_paper_in_what_is_frozen_only():
    whole = explain.resolved_tree(load_checked(CONFIGS / "sysu" / "paenet_paper.yml"))
    for name, part in {"aal_fixed": "heads.attributes", "pae_fixed": "adapter"}.items():
        tree = explain.resolved_tree(load_checked(CONFIGS / "sysu" / f"paenet_table4_{name}.yml"))
        assert tree["SOLVER"].pop("FREEZE") == {part: 10}
        assert tree | {"OUTPUT_DIR": ""} == whole | {"OUTPUT_DIR": ""}
