"""Hyper-parameters of the released code of AGW (with its baseline), HCT, MMD-ReID and PAENet."""

from __future__ import annotations

import pytest
from snapshot import tree_of

SOLVER = {
    "NAME": "SGD",
    "LR": 0.1,
    "MOMENTUM": 0.9,
    "NESTEROV": True,
    "WEIGHT_DECAY": 5e-4,
    "LR_SCALE": {"backbone": 0.1},
    "SCHEDULE": {"NAME": "WarmupSteps", "WARMUP": 10, "DROPS": [20, 50], "FACTOR": 0.1},
}


def test_values_of_mmd():
    tree = tree_of("sysu/mmd")
    assert tree["SIZE"] == [288, 144]
    assert tree["SAMPLER"] | {"NAME": ""} == {"NAME": "", "IDENTITIES": 4, "PER_MODALITY": 4, "STEPS": None}
    backbone = {"ARCH": "resnet50.tv_in1k", "SHARE_FROM": 3, "LAST_STRIDE": 1, "PRETRAINED": True}
    assert backbone.items() <= tree["MODEL"]["BACKBONE"].items()
    assert tree["MODEL"]["POOL"] == {"NAME": "GeM", "P": 3.0, "LEARN": False}
    assert tree["MODEL"]["EMBEDDING"] == ["features_bn"]
    terms = tree["OBJECTIVE"]
    assert list(terms) == ["ID", "TRIPLET", "MMD"]
    assert terms["ID"] == {"NAME": "IdentityCrossEntropy", "SMOOTHING": 0.0}
    assert terms["TRIPLET"] == {"NAME": "HeteroCenterTriplet", "MARGIN": 0.3, "WEIGHT": 2.0}
    mmd = {"NAME": "MarginMMD", "MARGIN": 1.4, "MODE": "threshold", "WEIGHT": 0.25, "KERNEL_MUL": 2.0, "KERNEL_NUM": 5}
    assert terms["MMD"] == mmd
    assert tree["SOLVER"] == SOLVER | {"EPOCHS": 61}
    assert tree["AUGMENTATION"] == {
        "CROP": {"NAME": "PadCrop", "PADDING": 10, "FILL": 0, "MIRROR": False},
        "FLIP": {"NAME": "HorizontalFlip", "PROBABILITY": 0.5},
    }


def test_values_of_the_baseline():
    tree = tree_of("sysu/baseline")
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
    tree = tree_of(f"{dataset}/agw")
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
    steps = tree_of(f"{dataset}/{method}")["AUGMENTATION"]
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
    tree = tree_of(f"{dataset}/hct")
    assert tree["SIZE"] == [288, 144]
    assert batch_of(tree) == batch
    assert tree["MODEL"]["BACKBONE"]["SHARE_FROM"] == 2
    assert tree["MODEL"]["HEADS"] == {"PARTS": {"NAME": "StripeHead", "NUM_PARTS": 6, "DIM": 256, "P": p}}
    assert tree["MODEL"]["EMBEDDING"] == ["features"]
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
    tree = tree_of(f"{dataset}/mmd")
    assert batch_of(tree) == (4, 4)
    assert tree["OBJECTIVE"]["MMD"]["MARGIN"] == 1.4


def test_values_of_paenet_as_in_its_paper():
    tree = tree_of("sysu/paenet_paper")
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
    tree = tree_of("sysu/paenet_released")
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
    whole = tree_of("sysu/paenet_paper")
    for name, part in {"aal_fixed": "heads.attributes", "pae_fixed": "adapter"}.items():
        tree = tree_of(f"sysu/paenet_table4_{name}")
        assert tree["SOLVER"].pop("FREEZE") == {part: 10}
        assert tree | {"OUTPUT_DIR": ""} == whole | {"OUTPUT_DIR": ""}
