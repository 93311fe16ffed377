"""Released hyper-parameters of SAAI (its command lines, configuration files and defaults)."""

import pytest
from snapshot import tree_of


@pytest.mark.parametrize(
    ("dataset", "identities", "inserts"),
    [("sysu", 10, True), ("regdb", 4, False), ("llcm", 10, True)],  # not released for LLCM: those of SYSU-MM01
)
def test_values_of_saai(dataset, identities, inserts):
    tree = tree_of(f"{dataset}/saai")
    assert tree["SIZE"] == [288, 144]
    assert (tree["SAMPLER"]["NAME"], tree["SAMPLER"]["IDENTITIES"]) == ("IdentityBlockSampler", identities)
    assert tree["SAMPLER"]["PER_MODALITY"] == 4
    backbone, insert = tree["MODEL"]["BACKBONE"], {"NAME": "ModalityAlleviation", "COUNT": 1, "REDUCTION": 16}
    released = {"ARCH": "resnet50.tv_in1k", "SHARE_FROM": 0, "LAST_STRIDE": 1, "PRETRAINED": True}
    assert released.items() <= backbone.items()
    assert backbone["INSERTS"] == dict.fromkeys(("STAGE3", "STAGE4") if inserts else (), insert)
    assert tree["MODEL"]["POOL"] == {"NAME": "AveragePool"}
    assert tree["MODEL"]["HEADS"] == {"ID": {"NAME": "PartTokenHead", "NUM_PARTS": 7, "MAP_SIZE": [18, 9]}}
    assert tree["MODEL"]["EMBEDDING"] == ["features_bn"]
    assert tree["MODEL"]["NORMALIZE"]
    assert tree["OBJECTIVE"] == {
        "ID": {"NAME": "IdentityCrossEntropy", "SMOOTHING": 0.0},
        "CLUSTER": {"NAME": "CenterCluster", "MARGIN": 0.7, "PULL_MARGIN": 0.01},
        "DIVERSITY": {"NAME": "MaskDiversity", "KIND": "l2", "WEIGHT": 0.25},
        "MUTUAL": {
            "NAME": "ModalityMutualLearning",
            "UPDATE": 0.02,
            "ID_WEIGHT": 1.0,
            "KL_WEIGHT": 1.0,
            "AGREEMENT": "soft_cross_entropy",
        },
    }
    schedule = {"NAME": "WarmupSteps", "WARMUP": 10, "DROPS": [80, 120], "FACTOR": 0.1}
    adam = {"NAME": "Adam", "LR": 3.5e-4, "WEIGHT_DECAY": 5e-4, "LR_SCALE": {}, "EPOCHS": 160, "SCHEDULE": schedule}
    assert tree["SOLVER"] == adam
    steps = tree["AUGMENTATION"]
    assert steps["CROP"] == {"NAME": "PadCrop", "PADDING": 10, "FILL": 0, "MIRROR": True}
    assert steps["FLIP"] == {"NAME": "HorizontalFlip", "PROBABILITY": 0.5}
    assert steps["CHANNELS"]["NAME"] == "ChannelCopy"
    assert steps["CHANNELS"]["PROBABILITY"] == pytest.approx(3 / 11)
    erasing = {"PROBABILITY": 0.5, "AREA": [0.02, 0.33], "ASPECT": [0.3, 3.3], "LOG_ASPECT": True, "NOISE": True}
    assert erasing.items() <= steps["ERASING"].items()


@pytest.mark.parametrize(
    ("dataset", "values"),
    [("sysu", {"ALL": (4, 1), "INDOOR": (2, 2)}), ("regdb", {"V2I": (8, 2), "I2V": (8, 2)})],
)
def test_affinity_inference_is_a_row_beside_each_plain_one(dataset, values):
    tree, alone = tree_of(f"{dataset}/saai_aim"), tree_of(f"{dataset}/saai")
    reranked = {name: tree["EVALUATION"].pop(f"{name}_AIM") for name in values}
    for name, (k1, k2) in values.items():
        inference = {"NAME": "AffinityInference", "K1": k1, "K2": k2, "CHOSEN_ON": "the test set"}
        assert reranked[name].pop("RERANKING") == inference
        alone["EVALUATION"][name].pop("RERANKING", None)
        tree["EVALUATION"][name].pop("RERANKING", None)
        assert reranked[name] == alone["EVALUATION"][name]
    assert tree.pop("OUTPUT_DIR") != alone.pop("OUTPUT_DIR")
    assert tree == alone
