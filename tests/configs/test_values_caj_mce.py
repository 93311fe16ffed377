"""Released hyper-parameters of CAJ, CAJ+ and MCE, as their specifications list them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vireid.config import explain
from vireid.config.loader import load_config

CONFIGS = Path(__file__).parents[2] / "configs"
FILL = [0.4914, 0.4822, 0.4465]


def tree_of(dataset: str, method: str) -> dict:
    return explain.resolved_tree(load_config(CONFIGS / dataset / f"{method}.yml"))


def erasing(probability: float, **limits: str) -> dict:
    box = {"AREA": [0.02, 0.4], "ASPECT": [0.3, 1 / 0.3], "FILL": FILL, "LOG_ASPECT": False}
    return {"NAME": "RandomErasing", "PROBABILITY": probability, **box, **limits}


@pytest.mark.parametrize("dataset", ["sysu", "regdb"])
@pytest.mark.parametrize("method", ["caj", "caj_plus"])
def test_caj_is_agw_with_views_and_a_squared_triplet(dataset, method):
    tree, agw = tree_of(dataset, method), tree_of(dataset, "agw")
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
    assert tree_of(dataset, method)["AUGMENTATION"] == {
        "CROP": {"NAME": "PadCrop", "PADDING": 10, "FILL": 0},
        "FLIP": {"NAME": "HorizontalFlip", "PROBABILITY": 0.5},
        "ERASING": erasing(0.5),
        "CHANNELS": {"NAME": "ChannelAdaptiveGray", "PROBABILITY": 0.5, "MODALITY": "infrared"},
    }


def test_augmentation_of_caj_plus_on_sysu():
    assert tree_of("sysu", "caj_plus")["AUGMENTATION"] == {
        "CROP": {"NAME": "PadCrop", "PADDING": 10, "FILL": 0},
        "FLIP": {"NAME": "HorizontalFlip", "PROBABILITY": 0.5},
        "ERASING": erasing(0.5, MODALITY="infrared"),
        "CHANNELS": {"NAME": "ChannelAdaptiveGray", "PROBABILITY": 0.6, "MODALITY": "infrared"},
        "GRAYSCALE": {"NAME": "RandomGrayscale", "PROBABILITY": 0.1, "MODALITY": "visible", "VIEW": 0},
        "ERASING_VISIBLE": erasing(0.6, MODALITY="visible"),
    }


@pytest.mark.parametrize("dataset", ["sysu", "regdb"])
def test_only_caj_plus_refines(dataset):
    assert list(tree_of(dataset, "caj")["OBJECTIVE"]) == ["ID", "TRIPLET"]
    terms = tree_of(dataset, "caj_plus")["OBJECTIVE"]
    assert list(terms) == ["ID", "TRIPLET", "COREFINE"]
    assert "WEIGHT" not in terms["COREFINE"]  # 1
    sides = {"STUDENT": "visible", "STUDENT_VIEW": 0, "TEACHER": "visible", "TEACHER_VIEW": 1}
    assert terms["COREFINE"] == {"NAME": "SoftTargets", "FORM": "cross_entropy", "TEMPERATURE": 3.0, **sides}
