"""Embeddings of single channels of visible test images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vireid.core.types import Batch, Modality, Sample
from vireid.data.augment.pixels import IMAGENET_MEAN, IMAGENET_STD
from vireid.data.images.image_set import ImageSet
from vireid.engine.distributed import Environment
from vireid.experiment.evaluate import EvaluationRunner
from vireid.runs.folder import RunFolder
from vireid.runs.log import JsonLines


class ChannelSums(nn.Module):
    """Embedding of an image: one, and the means of its channels in gray levels."""

    normalize = True

    def embed(self, batch: Batch) -> Tensor:
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        means = 255 * (batch.images.mean(dim=(2, 3)) * std + mean)
        return torch.cat([torch.ones(len(batch), 1), means], dim=1)


@pytest.fixture
def runner(tmp_path) -> EvaluationRunner:
    environment = Environment(device="cpu", precision="float32")
    return EvaluationRunner(
        environment=environment, folder=RunFolder(tmp_path), log=JsonLines(tmp_path / "log.jsonl"), batch=2
    )


def test_visible_images_have_an_embedding_of_each_channel(runner):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 4, 3, 3), dtype=np.uint8)
    modality = [Modality.VISIBLE, Modality.INFRARED, Modality.VISIBLE, Modality.VISIBLE] + [Modality.INFRARED] * 3
    samples = [Sample(Path(f"{row}.png"), row, each, camera=1) for row, each in enumerate(modality)]
    model, images = ChannelSums(), ImageSet(samples, pixels)
    plain = runner.embed(model, images)
    table = runner.embed_channels(model, images, plain)
    np.testing.assert_array_equal(table.embeddings, plain.embeddings)
    assert table.channel_views is not None
    assert table.channel_views.shape == (3, 7, 4)
    for row, each in enumerate(modality):
        for channel in range(3):
            ours = table.channel_views[channel, row]
            if each == Modality.INFRARED:
                assert not ours.any()
                continue
            expected = np.array([1, *[pixels[row, :, :, channel].mean()] * 3])
            np.testing.assert_allclose(ours, expected / np.linalg.norm(expected), rtol=1e-5)


def test_without_visible_images_all_views_are_zero(runner):
    samples = [Sample(Path(f"{row}.png"), row, Modality.INFRARED, camera=3) for row in range(2)]
    images = ImageSet(samples, np.full((2, 4, 3, 3), 9, np.uint8))
    table = runner.embed_channels(ChannelSums(), images, runner.embed(ChannelSums(), images))
    assert table.channel_views is not None
    assert not table.channel_views.any()
