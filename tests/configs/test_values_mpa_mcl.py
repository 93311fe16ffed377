"""Released hyper-parameters of MPANet (its SYSU.yml and RegDB.yml) and MCLNet (its train.py)."""

import pytest
from snapshot import tree_of


@pytest.mark.parametrize(
    ("dataset", "size", "batch", "drops"),
    [
        ("sysu", [384, 128], (16, 4), [80, 120]),
        ("regdb", [256, 128], (12, 5), [110]),
        ("llcm", [384, 128], (16, 4), [80, 120]),  # not released: those of SYSU-MM01
    ],
)
def test_values_of_mpanet(dataset, size, batch, drops):
    tree = tree_of(f"{dataset}/mpanet")
    assert tree["SIZE"] == size
    sampler = {"NAME": "IdentityBlockSampler", "IDENTITIES": batch[0], "PER_MODALITY": batch[1], "STEPS": None}
    assert tree["SAMPLER"] == sampler
    backbone, insert = tree["MODEL"]["BACKBONE"], {"NAME": "ModalityAlleviation", "COUNT": 1, "REDUCTION": 16}
    released = {"ARCH": "resnet50.tv_in1k", "SHARE_FROM": 0, "LAST_STRIDE": 1, "PRETRAINED": True}
    assert released.items() <= backbone.items()
    assert backbone["INSERTS"] == {"STAGE3": insert, "STAGE4": insert}
    assert tree["MODEL"]["POOL"] == {"NAME": "AveragePool"}
    assert tree["MODEL"]["HEADS"] == {"ID": {"NAME": "PatternHead", "NUM_PARTS": 6}}
    assert tree["MODEL"]["EMBEDDING"] == ["features_bn"]
    raw = dataset == "regdb"
    assert tree["MODEL"]["NORMALIZE"] is not raw
    assert tree["SIMILARITY"]["METRIC"] == ("euclidean" if raw else "cosine")
    mutual = {"NAME": "ModalityMutualLearning", "UPDATE": 0.2, "ID_WEIGHT": 1.0, "KL_WEIGHT": 2.5, "AGREEMENT": "kl"}
    assert tree["OBJECTIVE"] == {
        "ID": {"NAME": "IdentityCrossEntropy", "SMOOTHING": 0.0},
        "CLUSTER": {"NAME": "CenterCluster", "MARGIN": 0.7, "PULL_MARGIN": 0.0},
        "SEPARATION": {"NAME": "MaskSeparation", "WEIGHT": 0.5},
        "MUTUAL": mutual,
    }
    schedule = {"NAME": "WarmupSteps", "WARMUP": 0, "DROPS": drops, "FACTOR": 0.1}
    adam = {"NAME": "Adam", "LR": 3.5e-4, "WEIGHT_DECAY": 5e-4, "LR_SCALE": {}, "EPOCHS": 140, "SCHEDULE": schedule}
    assert tree["SOLVER"] == adam
    steps = tree["AUGMENTATION"]
    assert steps["CROP"] == {"NAME": "PadCrop", "PADDING": 10, "FILL": 127, "MIRROR": False}
    assert steps["FLIP"] == {"NAME": "HorizontalFlip", "PROBABILITY": 0.5}
    erasing = {
        "PROBABILITY": 0.5,
        "AREA": [0.02, 0.33],
        "ASPECT": [0.3, 3.3],
        "FILL": [0, 0, 0],
        "LOG_ASPECT": True,
        "NOISE": False,
    }
    assert steps["ERASING"] == {"NAME": "RandomErasing", **erasing}


@pytest.mark.parametrize("dataset", ["sysu", "regdb", "llcm"])
def test_values_of_mclnet(dataset):
    tree = tree_of(f"{dataset}/mclnet")
    agw = tree_of(f"{dataset}/agw")
    assert tree["SIZE"] == [288, 144]
    assert (tree["SAMPLER"]["IDENTITIES"], tree["SAMPLER"]["PER_MODALITY"]) == (8, 4)
    assert tree["MODEL"] == agw["MODEL"]
    centers = {"RHO": 4500.0, "SIGMA": 8.0, "LEARN": False, "WEIGHT": 5e-4}
    critic = {"HIDDEN": 128, "LR": 0.1, "MOMENTUM": 0.9, "WEIGHT_DECAY": 5e-4}
    assert tree["OBJECTIVE"] == {
        **agw["OBJECTIVE"],
        "CONFUSION": {"NAME": "ModalityConfusion", "SEMANTICS": "legacy", **critic},
        "IDENTITY_CENTERS": {"NAME": "IdentityMarginCenters", **centers, "ROWS_OF_CLASS": None},
        "CAMERA_CENTERS": {"NAME": "CameraMarginCenters", **centers},
    }
    assert tree["OBJECTIVE"]["TRIPLET"]["RELEASED_EPS"]
    assert tree["SOLVER"] == agw["SOLVER"] | {"EPOCHS": 201}
    schedule = {"NAME": "WarmupSteps", "WARMUP": 10, "DROPS": [20, 50], "FACTOR": 0.1}
    assert tree["SOLVER"]["SCHEDULE"] == schedule
    erasing = tree["AUGMENTATION"]["ERASING"]
    assert erasing["NAME"] == "RandomErasing"
    assert (erasing["PROBABILITY"], erasing["AREA"]) == (0.8, [0.1, 0.8])
    assert erasing["ASPECT"] == pytest.approx([0.3, 1 / 0.3])
    assert erasing["FILL"] == [0.4914, 0.4822, 0.4465]
    assert tree["AUGMENTATION"]["CROP"] == {"NAME": "PadCrop", "PADDING": 10, "FILL": 0, "MIRROR": False}
