"""A network from its MODEL settings alone equals that of the whole config, also after JSON."""

from __future__ import annotations

import json

import pytest
import torch

from vireid.config.build import Build
from vireid.config.check import load_checked
from vireid.config.network import build_network, model_tree
from vireid.core.errors import ConfigError
from vireid.core.types import DatasetInfo
from vireid.zoo.models import config_path, list_models


@pytest.mark.parametrize("name", list_models())
def test_the_network_of_a_composition_is_built_from_its_model_settings(name: str):
    checked = load_checked(config_path(name))
    tree = json.loads(json.dumps(model_tree(checked)))
    with torch.device("meta"):
        expected = Build(checked).model(weights=False)
        network = build_network({**tree, "SIZE": list(checked.config.SIZE)}, checked.info)
    assert repr(network) == repr(expected)
    assert (network.embedding, network.normalize) == (expected.embedding, expected.normalize)
    shapes = [{name: value.shape for name, value in each.state_dict().items()} for each in (network, expected)]
    assert shapes[0] == shapes[1]


def test_stored_weights_of_the_backbone_are_not_named():
    changes = {"MODEL.BACKBONE.WEIGHTS": "/somewhere/resnet50.pth", "MODEL.BACKBONE.PRETRAINED": False}
    tree = model_tree(load_checked(config_path("sysu/agw"), changes))
    assert tree["MODEL"]["BACKBONE"]["WEIGHTS"] is None


def test_only_problems_of_the_network_are_reported():
    tree = model_tree(load_checked(config_path("sysu/agw")))
    tree["MODEL"]["POOL"] = {"NAME": "GemPol"}
    with pytest.raises(ConfigError) as caught:
        build_network(tree, DatasetInfo(num_ids=5, num_cameras=6))
    assert {problem.key.split(".")[0] for problem in caught.value.problems} == {"MODEL"}
