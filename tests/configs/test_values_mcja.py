"""Released hyper-parameters of MCJA."""

import pytest
from snapshot import tree_of


@pytest.mark.parametrize(
    ("dataset", "batch", "maps", "epochs", "drops"),
    [
        ("sysu", (8, 16), 2, 140, [80, 120]),
        ("regdb", (4, 32), 12, 300, []),
        ("llcm", (8, 16), 2, 140, [80, 120]),  # not released for LLCM: those of SYSU-MM01
    ],
)
def test_values_of_mcja(dataset, batch, maps, epochs, drops):
    tree = tree_of(f"{dataset}/mcja")
    assert tree["SIZE"] == [384, 192]
    sampler = {"NAME": "IdentitySampler", "IDENTITIES": batch[0], "PER_IDENTITY": batch[1], "STEPS": None}
    assert tree["SAMPLER"] == sampler
    backbone = tree["MODEL"]["BACKBONE"]
    released = {"ARCH": "resnet50.tv_in1k", "SHARE_FROM": 0, "LAST_STRIDE": 2, "PRETRAINED": True}
    assert released.items() <= backbone.items()
    insert = {"NAME": "ModalityDistribution", "MAPS": maps}
    assert backbone["INSERTS"] == {"STAGE2": insert | {"COUNT": 2}, "STAGE3": insert | {"COUNT": 3}}
    assert tree["MODEL"]["POOL"] == {"NAME": "GeM", "P": 3.0, "LEARN": False}
    assert tree["MODEL"]["HEADS"] == {"ID": {"NAME": "IdentityHead", "PLAIN_START": True}}
    assert tree["MODEL"]["EMBEDDING"] == ["features_bn"]
    assert tree["OBJECTIVE"] == {
        "ID": {"NAME": "IdentityCrossEntropy", "SMOOTHING": 0.0},
        "RETRIEVAL": {"NAME": "CrossModalityRetrieval", "STRENGTH": 0.5, "USES": {"features": "features_bn"}},
    }
    schedule = {"NAME": "WarmupSteps", "WARMUP": 0, "DROPS": drops, "FACTOR": 0.1}
    adam = {"NAME": "Adam", "LR": 3.5e-4, "WEIGHT_DECAY": 5e-4, "LR_SCALE": {}, "EPOCHS": epochs, "SCHEDULE": schedule}
    assert tree["SOLVER"] == adam
    assert tree["FLIP_TEST"] == "none"


def test_augmentation_of_mcja():
    steps = tree_of("sysu/mcja")["AUGMENTATION"]
    assert list(steps) == ["CROP", "FLIP", "ERASING", "SPECTRUM"]
    assert steps["CROP"] == {"NAME": "PadCrop", "PADDING": 10, "FILL": 127, "MIRROR": False}
    assert steps["FLIP"] == {"NAME": "HorizontalFlip", "PROBABILITY": 0.5}
    erasing = {"PROBABILITY": 0.5, "AREA": [0.02, 0.3], "ASPECT": [0.3, 3.3], "LOG_ASPECT": True, "FILL": [0, 0, 0]}
    assert erasing.items() <= steps["ERASING"].items()
    spectrum = steps["SPECTRUM"]
    assert (spectrum["NAME"], spectrum["MODALITY"]) == ("OneOf", "visible")
    cutmix = {"AREA": [0.02, 0.33], "ASPECT": [0.3, 3.3], "RELEASED_SIDES": False}
    expected = {"HUE": ("HueJitter", {"LIMIT": 0.2}), "GRAY": ("WeightedGrayscale", {})}
    expected |= {"CUTMIX": ("ChannelCutMix", cutmix), "JITTER": ("SpectrumJitter", {})}
    assert spectrum["STEPS"] == {
        entry: {"NAME": name, "PROBABILITY": 0.5, **rest} for entry, (name, rest) in expected.items()
    }
