"""`vireid.load_config` and `vireid.create_model` check the whole config, as `Experiment` does."""

from __future__ import annotations

import pytest

import vireid
import vireid.config
from vireid.config.check import load_config
from vireid.core.errors import ConfigError
from vireid.zoo.models import config_path

MMD = config_path("sysu/mmd")
FAULTS = {  # one of each kind: unknown key, value of a setting, argument of a part, binding between parts
    "SOLVER.EPOCH": (5, "did you mean 'EPOCHS'?"),
    "PRECISION": ("half", "PRECISION = 'half'"),
    "OBJECTIVE.MMD.MRGIN": (1.0, "did you mean 'MARGIN'?"),
    "MODEL.EMBEDDING": (["features_bm"], "did you mean 'features_bn'?"),
}


def test_a_sound_config_is_returned_with_its_overrides():
    config = vireid.load_config(MMD, {"SEED": 3, "MODEL.BACKBONE.ARCH": "resnet10t"})
    assert (config.SEED, config.MODEL.BACKBONE.ARCH) == (3, "resnet10t")


@pytest.mark.parametrize("key", FAULTS)
def test_every_kind_of_fault_is_found(key):
    value, text = FAULTS[key]
    with pytest.raises(ConfigError) as caught:
        vireid.load_config(MMD, {"MODEL.BACKBONE.ARCH": "resnet10t", key: value})
    assert text in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        vireid.create_model("sysu/mmd", arch="resnet10t", overrides={key: value})
    assert text in str(caught.value)


def test_all_faults_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        vireid.load_config(MMD, {key: value for key, (value, _) in FAULTS.items()})
    assert not [text for _, text in FAULTS.values() if text not in str(caught.value)]


def test_there_is_one_function_of_this_name():
    assert vireid.load_config is vireid.config.load_config is load_config
    with pytest.raises(AttributeError, match=r"module 'vireid\.config' has no attribute 'lod_config'"):
        vireid.config.lod_config  # noqa: B018
