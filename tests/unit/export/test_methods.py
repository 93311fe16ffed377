"""The network of every shipped method as an ONNX file: the embeddings of the network, for both modalities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vireid.core.types import Batch
from vireid.embedder.exported import ExportedModel
from vireid.export import export_model
from vireid.zoo.models import config_folder

QUICK = ("sysu/deen", "sysu/mmd_pae_aal")  # the most parts that trace differently
SLOW = (
    "sysu/agw",
    "sysu/attr",
    "sysu/baseline",
    "sysu/caj",
    "sysu/caj_plus",
    "sysu/ddag",
    "sysu/hct",
    "sysu/mce",
    "sysu/mclnet",
    "sysu/mpanet",
    "sysu/paenet_released",
)


def mixed(pixels: np.ndarray, modality: list[int]) -> Batch:
    """A batch whose rows are not sorted by modality."""
    zeros = torch.zeros(len(pixels), dtype=torch.int64)
    return Batch(
        images=torch.from_numpy(pixels).permute(0, 3, 1, 2),
        labels=zeros,
        modality=torch.tensor(modality),
        cameras=zeros,
        view=zeros,
        index=torch.arange(len(pixels)),
    )


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_a_method_as_onnx_has_the_embeddings_of_its_network(name, small_embedder, pictures, tmp_path):
    embedder = small_embedder(name)
    exported = export_model(embedder, tmp_path / "model.onnx")
    assert exported.parity.cosine_min > 1 - 1e-6
    assert exported.parity.difference_max < 1e-5
    model, batch = ExportedModel(exported.path), mixed(pictures, [1, 0, 0, 1, 0])
    expected = embedder.model.embed([batch]).embeddings
    np.testing.assert_allclose(model.embed([batch]).embeddings, expected, rtol=0, atol=1e-5)
    assert model.width == expected.shape[1]
    sorted_rows = embedder.model.embed([mixed(pictures, [0, 0, 0, 0, 0])]).embeddings
    assert np.abs(sorted_rows - expected)[[0, 3]].max() > 1e-4, "the modality must matter in this test"


def test_every_shipped_method_is_exported():
    methods = {path.stem for path in (config_folder() / "methods").glob("[!_]*.yml")}
    assert methods == {name.removeprefix("sysu/").removesuffix("_pae_aal") for name in (*QUICK, *SLOW)} - {
        "paenet_released"
    }
