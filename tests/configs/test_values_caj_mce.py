"""Released hyper-parameters of CAJ, CAJ+ and MCE, as their specifications list them."""

from __future__ import annotations

import pytest
from snapshot import CONFIGS, tree_of

from vireid.config import check_config
from vireid.config.load import read_unchecked

FILL = [0.4914, 0.4822, 0.4465]


def erasing(probability: float, **limits: str) -> dict:
    box = {"AREA": [0.02, 0.4], "ASPECT": [0.3, 1 / 0.3], "FILL": FILL, "LOG_ASPECT": False, "NOISE": False}
    return {"NAME": "RandomErasing", "PROBABILITY": probability, **box, **limits}


@pytest.mark.parametrize(
    ("dataset", "method"), [(d, m) for d in ("sysu", "regdb") for m in ("caj", "caj_plus")] + [("llcm", "caj")]
)
def test_caj_is_agw_with_views_and_a_squared_triplet(dataset, method):
    tree, agw = tree_of(f"{dataset}/{method}"), tree_of(f"{dataset}/agw")
    assert tree["MODEL"] == agw["MODEL"]
    assert tree["SOLVER"] == agw["SOLVER"] | {"EPOCHS": 100}
    assert tree["SIZE"] == [288, 144]
    assert tree["SAMPLER"] == agw["SAMPLER"]
    assert (tree["SAMPLER"]["IDENTITIES"], tree["SAMPLER"]["PER_MODALITY"]) == (8, 4)
    assert tree["VIEWS"] == {"EXCHANGED": {"NAME": "ChannelExchange", "GRAY": False, "MODALITY": "visible"}}
    triplet = {"ALPHA": 1.0, "GAMMA": 1.0, "SQUARE": True, "RELEASED_EPS": True}
    assert tree["OBJECTIVE"]["TRIPLET"] == {"NAME": "EnhancedSquaredTriplet", **triplet}
    assert tree["FLIP_TEST"] == "unit"


@pytest.mark.parametrize(("dataset", "method"), [("sysu", "caj"), ("regdb", "caj"), ("regdb", "caj_plus")])
def test_augmentation_of_caj(dataset, method):
    assert tree_of(f"{dataset}/{method}")["AUGMENTATION"] == {
        "CROP": {"NAME": "PadCrop", "PADDING": 10, "FILL": 0, "MIRROR": False},
        "FLIP": {"NAME": "HorizontalFlip", "PROBABILITY": 0.5},
        "ERASING": erasing(0.5),
        "CHANNELS": {"NAME": "ChannelAdaptiveGray", "PROBABILITY": 0.5, "MODALITY": "infrared"},
    }


def test_augmentation_of_caj_plus_on_sysu():
    assert tree_of("sysu/caj_plus")["AUGMENTATION"] == {
        "CROP": {"NAME": "PadCrop", "PADDING": 10, "FILL": 0, "MIRROR": False},
        "FLIP": {"NAME": "HorizontalFlip", "PROBABILITY": 0.5},
        "ERASING": erasing(0.5, MODALITY="infrared"),
        "CHANNELS": {"NAME": "ChannelAdaptiveGray", "PROBABILITY": 0.6, "MODALITY": "infrared"},
        "GRAYSCALE": {"NAME": "RandomGrayscale", "PROBABILITY": 0.1, "MODALITY": "visible", "VIEW": 0},
        "ERASING_VISIBLE": erasing(0.6, MODALITY="visible"),
    }


@pytest.mark.parametrize("dataset", ["sysu", "regdb"])
def test_only_caj_plus_refines(dataset):
    assert list(tree_of(f"{dataset}/caj")["OBJECTIVE"]) == ["ID", "TRIPLET"]
    terms = tree_of(f"{dataset}/caj_plus")["OBJECTIVE"]
    assert list(terms) == ["ID", "TRIPLET", "COREFINE"]
    assert "WEIGHT" not in terms["COREFINE"]  # 1
    sides = {"STUDENT": "visible", "STUDENT_VIEW": 0, "TEACHER": "visible", "TEACHER_VIEW": 1}
    assert terms["COREFINE"] == {"NAME": "SoftTargets", "FORM": "cross_entropy", "TEMPERATURE": 3.0, **sides}


MCE = {"sysu": ([384, 128], (8, 4), [21, 40]), "regdb": ([288, 144], (8, 5), [31, 60])}


@pytest.mark.parametrize("dataset", MCE)
def test_values_of_mce(dataset):
    size, batch, drops = MCE[dataset]
    tree = tree_of(f"{dataset}/mce")
    assert tree["SIZE"] == size
    assert (tree["SAMPLER"]["IDENTITIES"], tree["SAMPLER"]["PER_MODALITY"]) == batch
    backbone = tree["MODEL"]["BACKBONE"]
    assert (backbone["SHARE_FROM"], backbone["LAST_STRIDE"], backbone["ARCH"]) == (0, 1, "resnet50.tv_in1k")
    assert backbone["INSERTS"] == {name: {"NAME": "NonLocal", "COUNT": n} for name, n in (("STAGE2", 2), ("STAGE3", 3))}
    assert tree["MODEL"]["POOL"] == {"NAME": "GeM", "P": 3.0, "LEARN": True}
    assert tree["MODEL"]["HEADS"] == {"ID": {"NAME": "NeckHead", "SCALE_STD": 0.0}}
    assert tree["MODEL"]["EMBEDDING"] == ["features_bn"]
    assert tree["VIEWS"] == {"AUXILIARY": {"NAME": "ChannelExchange", "GRAY": False, "MODALITY": "visible"}}
    assert tree["GATHER_FEATURES"] is True
    assert tree["OBJECTIVE"] == {
        "MEMORY": {
            "NAME": "ConsistencyMemory",
            "TEMPERATURE": 0.05,
            "MOMENTUM": 0.25,
            "JOINT_MOMENTUM": 0.1,
            "MARGIN": 0.3,
            "CENTER_WEIGHT": 1.0,
            "IDENTITY_WEIGHT": 1.0,
            "AUXILIARY_WEIGHT": 0.4,
            "KL_WEIGHT": 1.2,
            "ALIGN": "frozen",
            "AUXILIARY": 1,
        }
    }
    schedule = {"NAME": "WarmupSteps", "WARMUP": 10, "DROPS": drops, "FACTOR": 0.1}
    solver = {"NAME": "Adam", "LR": 3.5e-4, "WEIGHT_DECAY": 5e-4, "LR_SCALE": {}, "EPOCHS": 160, "SCHEDULE": schedule}
    assert tree["SOLVER"] == solver


def test_augmentation_of_mce():
    common = {"FLIP": {"NAME": "HorizontalFlip", "PROBABILITY": 0.5}, "ERASING": erasing(0.5)}
    assert tree_of("sysu/mce")["AUGMENTATION"] == {
        "CROP": {"NAME": "PadCrop", "PADDING": 10, "FILL": 0, "MIRROR": False},
        **common,
        "CHANNELS": {"NAME": "ChannelAdaptiveGray", "PROBABILITY": 0.5, "MODALITY": "infrared"},
    }
    assert tree_of("regdb/mce")["AUGMENTATION"] == {
        "CROP": {"NAME": "PadCrop", "PADDING": 10, "FILL": 127, "MIRROR": False, "VIEW": 0},
        **common,
        "CROP_AUXILIARY": {"NAME": "PadCrop", "PADDING": 10, "FILL": 0, "MIRROR": False, "VIEW": 1},
    }


@pytest.mark.parametrize("method", ["caj", "mce"])
def test_llcm_has_the_values_of_sysu(method):
    ours, sysu = tree_of(f"llcm/{method}"), tree_of(f"sysu/{method}")
    for key in ("SIZE", "SAMPLER", "AUGMENTATION", "VIEWS", "MODEL", "OBJECTIVE", "SOLVER"):
        assert ours[key] == sysu[key]


VARIANTS = {  # of the pages of the methods
    "--nce": ("sysu/mce", ["MODEL.HEADS.ID.NAME", "IdentityHead", "OBJECTIVE.ID.NAME", "IdentityCrossEntropy"]),
    "--channel 2": ("sysu/mce", ["OBJECTIVE.MEMORY.AUXILIARY", "0", "VIEWS.AUXILIARY.NAME", "none"]),
    "--gx 1": ("regdb/mce", ["OBJECTIVE.MEMORY.ALIGN", "running"]),
    "S2": ("sysu/caj_plus", ["OBJECTIVE.COREFINE.STUDENT_VIEW", "1", "OBJECTIVE.COREFINE.TEACHER_VIEW", "0"]),
    "S": (
        "sysu/caj_plus",
        [
            "OBJECTIVE.COREFINE_IR",
            "{NAME: SoftTargets, FORM: cross_entropy, STUDENT: infrared, TEACHER: visible, TEACHER_VIEW: 1}",
        ],
    ),
    "--kl 0.5": (
        "sysu/caj",
        ["OBJECTIVE.KL", "{NAME: SoftTargets, FORM: divergence, TEMPERATURE: 3.0, WEIGHT: 0.5}"],
    ),
    "--method agw": ("sysu/caj", ["OBJECTIVE.TRIPLET.NAME", "WeightedRegularizedTriplet"]),
}


@pytest.mark.parametrize("flag", VARIANTS)
def test_variants_that_the_pages_name(flag):
    name, words = VARIANTS[flag]
    check_config(read_unchecked(CONFIGS / f"{name}.yml", words))
