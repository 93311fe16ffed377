"""The network of every shipped method as an ONNX file: the embeddings of the network, for both modalities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vireid
from vireid.core.types import Batch
from vireid.embedder.exported import ExportedModel
from vireid.export import export_model
from vireid.layers.norms import ModalityNeck
from vireid.models.cross_modality_net import CrossModalityNet

QUICK = ("sysu/agw", "sysu/mmd_pae_aal")
SLOW = (
    "sysu/adca",
    "sysu/ddag",
    "sysu/deen",
    "sysu/hct",
    "sysu/mce",
    "sysu/mcja",
    "sysu/mmd",
    "sysu/mpanet",
    "sysu/paenet_released",
    "sysu/pgm",
    "sysu/pmt",
    "sysu/rle",
    "sysu/saai",
    "sysu/vit",
)
ELSEWHERE = ("sysu/baseline",)  # test_export.py


def evaluated_parts(network: CrossModalityNet) -> str:
    """What computes the embedding, in words: methods that differ in their losses only have equal texts."""
    heads = (head for head in network.heads.values() if set(head.provides) & set(network.embedding))
    parts = (network.backbone, network.pool, network.adapter, network.attributes, *heads)
    return repr((*map(repr, parts), network.embedding, network.normalize))


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
    visible = embedder.model.embed([mixed(pictures, [0] * 5)]).embeddings
    two_streams = len(embedder.network.backbone.visible) > 0  # type: ignore[arg-type]
    two_necks = any(isinstance(module, ModalityNeck) for module in embedder.network.heads.modules())
    assert (np.abs(visible - expected)[[0, 3]].max() > 1e-4) == (two_streams or two_necks)


@pytest.mark.slow
def test_every_shipped_method_is_exported(small_embedder):
    """Each network without plug-ins equals one of those that are exported."""
    exported = {evaluated_parts(small_embedder(name).network) for name in (*QUICK, *SLOW, *ELSEWHERE)}
    shipped = [name for name in vireid.list_models("sysu/*") if "pae" not in name]
    assert len(shipped) > 10
    assert [name for name in shipped if evaluated_parts(small_embedder(name).network) not in exported] == []
