"""A vision transformer trains, is evaluated and becomes a bundle; camera side information."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import vireid
from vireid.core.errors import UserError

CONFIG = str(Path(__file__).parents[2] / "configs" / "sysu" / "baseline.yml")
SETTINGS = {
    "SIZE": "[64, 48]",  # a grid of four by three patches; the config says 288 x 144
    "MODEL.BACKBONE.NAME": "TwoStreamViT",
    "MODEL.BACKBONE.ARCH": "test_vit",
    "MODEL.BACKBONE.PRETRAINED": False,
    "MODEL.BACKBONE.DROP_PATH": 0.1,
    "MODEL.POOL.NAME": "ClassTokenPool",
    "AUGMENTATION.CROP.PADDING": 5,
    "SAMPLER.PER_MODALITY": 2,
    "SAMPLER.STEPS": 2,
    "SOLVER.EPOCHS": 2,
    "SOLVER.SCHEDULE.WARMUP": 0,
    "SOLVER.SCHEDULE.DROPS": "[1]",
}


@pytest.fixture
def train_transformer(train, tmp_path):
    """Train with further settings into a folder of this name: folder of the run."""

    def run(name: str, **more: object) -> Path:
        settings = SETTINGS | {key.replace("__", "."): value for key, value in more.items()}
        pairs = [word for pair in settings.items() for word in pair]
        assert train(tmp_path / name, *pairs, config=CONFIG) == 0
        return tmp_path / name

    return run


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / "epoch_0002" / "model.safetensors")


def test_it_trains_is_evaluated_and_becomes_a_bundle(train_transformer, tmp_path):
    run = train_transformer("run")
    results = json.loads((run / "metrics.json").read_text())["results"]
    assert all(0 < result["mean"]["mAP"] <= 1 for result in results.values())
    trained = weights(run)
    first = [name for name in trained if name.startswith("backbone.visible.embed.")]
    assert any(not torch.equal(trained[n], trained[n.replace("visible", "infrared")]) for n in first)
    assert trained["backbone.shared.block5.block.mlp.fc1.weight"].isfinite().all()

    bundle = vireid.save_bundle(run, tmp_path / "bundle", license="MIT")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 48, 3), dtype=np.uint8)
    for modality in ("visible", "infrared"):
        expected, found = (vireid.load(path, device="cpu")(pictures, modality=modality) for path in (run, bundle))
        np.testing.assert_array_equal(found, expected)
        assert found.shape == (3, 64)


def test_camera_side_information_is_recorded_and_has_no_embedder(train_transformer):
    side = {"MODEL__BACKBONE__SIDE": "camera", "MODEL__BACKBONE__SHARE_FROM": 2}
    run = train_transformer("run", **side)
    assert weights(run)["backbone.trained_cameras"].tolist() == [True] * 6
    with pytest.raises(UserError, match="needs the camera of each image"):
        vireid.load(run, device="cpu")
