"""Hyper-parameters of the released code of DDAG and DEEN."""

import pytest
from snapshot import tree_of


@pytest.mark.parametrize("dataset", ["sysu", "regdb", "llcm"])
def test_values_of_ddag(dataset):
    tree = tree_of(f"{dataset}/ddag")
    assert tree["SIZE"] == [288, 144]
    assert (tree["SAMPLER"]["IDENTITIES"], tree["SAMPLER"]["PER_MODALITY"]) == (8, 4)
    backbone = {"ARCH": "resnet50.tv_in1k", "SHARE_FROM": 1, "LAST_STRIDE": 1, "PRETRAINED": True}
    assert backbone.items() <= tree["MODEL"]["BACKBONE"].items()
    assert tree["MODEL"]["POOL"] == {"NAME": "AveragePool"}
    assert tree["MODEL"]["HEADS"] == {"ID": {"NAME": "PartAttentionHead", "NUM_PARTS": 3}}
    assert tree["MODEL"]["EMBEDDING"] == ["features_att"]
    identity = {"NAME": "IdentityCrossEntropy", "SMOOTHING": 0.0}
    assert tree["OBJECTIVE"] == {
        "ID": identity,
        "TRIPLET": {"NAME": "BatchHardTriplet", "MARGIN": 0.3},
        "PART_ID": identity | {"USES": {"logits": "logits_att"}},
        "GRAPH": {
            "NAME": "CrossModalityGraph",
            "NUM_HEADS": 4,
            "WIDTH": 512,
            "DROPOUT": 0.2,
            "SLOPE": 0.2,
            "SCHEDULE": {"NAME": "InverseEpochLoss", "OF": ["id", "triplet", "part_id"]},
        },
    }
    solver = tree["SOLVER"]
    assert (solver["NAME"], solver["LR"], solver["EPOCHS"]) == ("SGD", 0.1, 81)
    assert solver["LR_SCALE"] == {"backbone": 0.1}
    assert solver["SCHEDULE"] == {"NAME": "WarmupSteps", "WARMUP": 10, "DROPS": [20, 50], "FACTOR": 0.1}
    assert list(tree["AUGMENTATION"]) == ["CROP", "FLIP"]


@pytest.mark.parametrize(
    ("dataset", "expand_after", "area"),
    [("sysu", "stage3", [0.2, 0.8]), ("regdb", "stage2", [0.02, 0.4]), ("llcm", "stage3", [0.02, 0.4])],
)
def test_values_of_deen(dataset, expand_after, area):
    tree = tree_of(f"{dataset}/deen")
    assert tree["SIZE"] == [384, 144]
    assert (tree["SAMPLER"]["IDENTITIES"], tree["SAMPLER"]["PER_MODALITY"]) == (6, 4)
    assert tree["MODEL"]["BACKBONE"] == {
        "NAME": "DiverseBackbone",
        "ARCH": "resnet50.tv_in1k",
        "EXPAND_AFTER": expand_after,
        "BRANCHES": 2,
        "DROPOUT": 0.01,
        "LAST_STRIDE": 1,
        "PRETRAINED": True,
        "WEIGHTS": None,
    }
    assert tree["MODEL"]["POOL"] == {"NAME": "AveragePool"}
    assert tree["MODEL"]["HEADS"] == {"ID": {"NAME": "IdentityHead", "PLAIN_START": False}}
    assert tree["MODEL"]["EMBEDDING"] == ["features", "features_bn"]
    assert tree["OBJECTIVE"] == {
        "ID": {"NAME": "IdentityCrossEntropy", "SMOOTHING": 0.0},
        "TRIPLET": {"NAME": "BatchHardTriplet", "MARGIN": 0.3},
        "CENTERS": {"NAME": "CenterPairMining", "MARGIN": 0.2, "WEIGHT": 0.8},
        "ORTHOGONAL": {"NAME": "OrthogonalBranches", "WEIGHT": 0.01},
    }
    solver = tree["SOLVER"]
    assert (solver["NAME"], solver["LR"], solver["EPOCHS"]) == ("SGD", 0.1, 151)
    assert solver["LR_SCALE"] == {"backbone": 0.1}
    assert solver["SCHEDULE"] == {"NAME": "WarmupSteps", "WARMUP": 10, "DROPS": [20, 80], "FACTOR": 0.1}
    assert tree["FLIP_TEST"] == "sum"
    assert tree["AUGMENTATION"]["GRAYSCALE"]["PROBABILITY"] == 0.5
    erasing = tree["AUGMENTATION"]["ERASING"]
    assert (erasing["PROBABILITY"], erasing["AREA"]) == (0.5, area)
    assert erasing["FILL"] == [0.485, 0.456, 0.406]
    assert erasing["ASPECT"] == [0.3, 1 / 0.3]
