"""Vision transformers as exported files: the modality of each row selects its patch embedding and first blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vireid
from vireid.core.errors import UserError
from vireid.core.types import DatasetInfo
from vireid.embedder.description import ModelDescription
from vireid.embedder.embedder import Embedder
from vireid.embedder.exported import ExportedModel
from vireid.engine.distributed import Environment
from vireid.export import export_model

from .test_methods import mixed

SIZE = (96, 32)


def transformer(side: str) -> Embedder:
    """An embedder with two patch embeddings and first blocks of different weights."""
    backbone = {"NAME": "TwoStreamViT", "SHARE_FROM": 2, "SIDE": side}
    settings = {f"MODEL.BACKBONE.{name}": value for name, value in backbone.items()}
    torch.manual_seed(0)
    network = vireid.create_model(
        "sysu/baseline",
        num_ids=4,
        arch="test_vit",
        overrides={**settings, "MODEL.POOL.NAME": "ClassTokenPool", "SIZE": list(SIZE)},
    )
    for parameter in network.backbone.infrared.parameters():  # type: ignore[union-attr]
        parameter.data.mul_(1.1).add_(0.02 * torch.randn(parameter.shape))
    described = ModelDescription(
        model={"IMPORTS": [], "MODEL": {"EMBEDDING": list(network.embedding)}},
        info=DatasetInfo(),
        size=SIZE,
        flips="none",
        training={"data": "SYSU", "num_ids": 4},
    )
    return Embedder(network, described, Environment(device="cpu", precision="float32"))


@pytest.mark.parametrize(
    ("format", "file", "side"), [("onnx", "model.onnx", "modality"), ("torch", "model.pt2", "none")]
)
def test_a_transformer_as_a_file_has_the_embeddings_of_its_network(format, file, side, pictures, tmp_path):
    embedder = transformer(side)
    exported = export_model(embedder, tmp_path / file, format=format)
    assert exported.parity.difference_max < 1e-5
    batch = mixed(pictures, [1, 0, 0, 1, 0])
    expected = embedder.model.embed([batch]).embeddings
    np.testing.assert_allclose(ExportedModel(exported.path).embed([batch]).embeddings, expected, rtol=0, atol=1e-5)
    visible = embedder.model.embed([mixed(pictures, [0] * 5)]).embeddings
    assert (np.abs(visible - expected).max(axis=1) > 1e-4).tolist() == [True, False, False, True, False]


def test_a_network_that_needs_the_camera_has_no_embedder():
    with pytest.raises(UserError, match=r"needs the camera of each image \(MODEL\.BACKBONE\.SIDE is 'camera'\)"):
        transformer("camera")
