"""Small embedders of shipped methods with random weights, and their exported files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import vireid
from vireid.config.load import read_unchecked
from vireid.core.types import DatasetInfo
from vireid.embedder.description import ModelDescription
from vireid.embedder.embedder import Embedder
from vireid.engine.distributed import Environment
from vireid.zoo.configs import config_path

SIZE = (96, 32)
NEEDED = ("onnx", "onnxscript", "onnxruntime", "openvino")  # vireid[export]


@pytest.fixture(scope="session", autouse=True)
def _export_is_installed() -> None:
    """Skip these tests where the extra is not installed; `make test` installs it."""
    for name in NEEDED:
        pytest.importorskip(name, reason=f"{name} is not installed (vireid[export])")


PREDICTED = {"MODEL.ATTRIBUTES.TEST": "predicted", "MODEL.ATTRIBUTES.PREDICTOR": True}


def make_embedder(name: str, *, flips: str = "none") -> Embedder:
    """A shipped method with a tiny backbone and random weights and statistics; PAE predicts its attributes."""
    overrides = PREDICTED if "pae" in name else {}
    transformer = read_unchecked(config_path(name)).MODEL.BACKBONE.NAME == "TwoStreamViT"
    if transformer:
        overrides = {**overrides, "SIZE": list(SIZE)}
    torch.manual_seed(0)
    arch = "test_vit" if transformer else "test_resnet"
    network = vireid.create_model(name, arch=arch, num_ids=4, overrides=overrides)
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            start = module.weight.data
            start[start == 0] = 1e-3  # non-local blocks; their inputs are large without training
            start.mul_(torch.empty_like(start).uniform_(0.5, 1.5))
    for unit in getattr(network.backbone, "infrared", torch.nn.Identity()).parameters():
        unit.data.mul_(1.1)  # differs from the visible units
    described = ModelDescription(
        model={"IMPORTS": [], "MODEL": {"EMBEDDING": list(network.embedding)}},
        info=DatasetInfo(),
        size=SIZE,
        flips=flips,
        training={"data": "SYSU", "num_ids": 4},
    )
    return Embedder(network, described, Environment(device="cpu", precision="float32"))


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return make_embedder("sysu/baseline", flips="unit")


@pytest.fixture(scope="session")
def small_embedder():
    """Make an embedder of a shipped method: name -> embedder."""
    return make_embedder


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, *SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def folder(pictures, tmp_path_factory):
    """A folder of images."""
    root = tmp_path_factory.mktemp("images")
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(root / f"{number}.png")
    return root
