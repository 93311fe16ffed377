"""Hyper-parameters of the released code of RLE."""

import pytest
from snapshot import tree_of


@pytest.mark.parametrize(
    ("dataset", "last_stage", "share", "gray"),
    [("sysu", 4, 0.2, False), ("regdb", 3, 0.1, True), ("llcm", 4, 0.1, True)],
)
def test_values_of_rle(dataset, last_stage, share, gray):
    tree = tree_of(f"{dataset}/rle")
    assert tree["SIZE"] == [384, 192]
    assert (tree["SAMPLER"]["IDENTITIES"], tree["SAMPLER"]["PER_MODALITY"]) == (6, 4)
    backbone = {"ARCH": "resnet50.tv_in1k", "SHARE_FROM": 1, "LAST_STRIDE": 1, "LAST_STAGE": last_stage}
    assert backbone.items() <= tree["MODEL"]["BACKBONE"].items()
    assert tree["MODEL"]["POOL"] == {"NAME": "AveragePool"}
    assert tree["MODEL"]["HEADS"] == {
        "PARTS": {"NAME": "GlobalPartHead", "NUM_PARTS": 3},
        "JOINED": {"NAME": "JoinedEmbedding", "SHARE_BN": share},
    }
    assert tree["MODEL"]["EMBEDDING"] == ["features_joined"]
    triplet = {"NAME": "BatchHardTriplet", "MARGIN": 0.3}
    identity = {"NAME": "IdentityCrossEntropy", "SMOOTHING": 0.0}
    assert tree["OBJECTIVE"] == {
        "ID": identity,
        "PART_ID": {"NAME": "PerPart", "OVER": "part_logits", "LOSS": identity, "WEIGHT": 1 / 3},
        "TRIPLET": triplet | {"USES": {"features": "pooled"}},
        "PART_TRIPLET": {"NAME": "PerPart", "OVER": "part_features", "LOSS": triplet, "WEIGHT": 1 / 3},
    }
    solver = tree["SOLVER"]
    assert (solver["NAME"], solver["LR"], solver["EPOCHS"]) == ("SGD", 0.1, 151)
    assert solver["LR_SCALE"] == {"backbone": 0.1}
    assert solver["SCHEDULE"] == {"NAME": "WarmupSteps", "WARMUP": 10, "DROPS": [20, 80, 120], "FACTOR": 0.1}
    assert tree["FLIP_TEST"] == "sum"
    steps = tree["AUGMENTATION"]
    names = ["CROP", "FLIP", "ERASING", "MODERATE", "RADICAL"] + ["GRAYSCALE"] * gray
    assert set(steps) == set(names)
    assert (steps["MODERATE"]["CONCENTRATION"], steps["MODERATE"]["PROBABILITY"]) == (0.3, 0.5)
    assert (steps["RADICAL"]["CONCENTRATION"], steps["RADICAL"]["FLOOR"], steps["RADICAL"]["PROBABILITY"]) == (
        0.4,
        0.1,
        0.5,
    )
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    fill = [channel * deviation + center for channel, deviation, center in zip(steps["ERASING"]["FILL"], std, mean)]
    assert fill == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-6)
