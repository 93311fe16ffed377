from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vireid.core.errors import ArgumentError, ConfigError
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.part_tokens import PartTokenHead
from vireid.models.pooling import AveragePool
from vireid.testing import TinyBackbone, tiny_batch


@pytest.fixture
def head() -> PartTokenHead:
    torch.manual_seed(0)
    return PartTokenHead(num_parts=3, map_size=(3, 2), num_ids=5, channels=4)


def test_parts_equal_the_loop(head):
    feature_map, modality = torch.randn(4, 4, 3, 2), torch.tensor([0, 1, 1, 0])
    out = head.train()(feature_map, feature_map.mean((2, 3)), modality)
    for row in range(4):
        expected = torch.zeros(4, 4)
        for y in range(3):
            for x in range(2):
                pixel = feature_map[row, :, y, x]
                masks = (head.tokens @ (pixel + head.positions[2 * y + x])).sigmoid()
                torch.testing.assert_close(out["part_masks"][row, :, y, x], masks)
                expected[:3] += masks.detach()[:, None] * pixel / 6  # without the position, divided by positions
                expected[3] += pixel / 6
        torch.testing.assert_close(out["features"][row].view(4, 4), expected)
    logits = head.classifier(out["features_bn"])
    torch.testing.assert_close(out["logits"], logits)


def test_another_map_size_resamples_the_bias_of_positions(head):
    feature_map = torch.zeros(1, 4, 6, 4)
    bias = F.interpolate((head.tokens @ head.positions.T).view(1, 3, 3, 2), size=(6, 4), mode="bilinear")
    torch.testing.assert_close(head.masks(feature_map), bias.sigmoid())


def test_the_neck_of_the_modality_embeds_a_row(head):
    head.train()(torch.randn(8, 4, 3, 2), torch.randn(8, 4), torch.arange(8) % 2)
    feature_map, pooled = torch.randn(1, 4, 3, 2), torch.randn(1, 4)
    rows = [head.eval()(feature_map, pooled, torch.tensor([modality])) for modality in (0, 1)]
    assert torch.equal(rows[0]["features"], rows[1]["features"])
    assert not torch.allclose(rows[0]["features_bn"], rows[1]["features_bn"])


def test_starts_as_the_release_does():
    torch.manual_seed(0)
    head = PartTokenHead(num_parts=7, num_ids=3, channels=128)
    assert head.positions.shape == (162, 128)
    for weight in (head.tokens, head.positions):
        assert weight.std().item() == pytest.approx((2 / 128) ** 0.5, rel=0.1)


@pytest.mark.parametrize(("arguments", "text"), [({"num_parts": 0}, "got 0, 5"), ({"map_size": (0, 9)}, "map_size")])
def test_arguments_are_checked(arguments, text):
    with pytest.raises(ValueError, match=text):
        PartTokenHead(**arguments, num_ids=5, channels=4)


class Doubling(TinyBackbone):
    """Two rows for each image, all first rows before the second ones."""

    def forward(self, images, modality):
        feature_map, _ = super().forward(images, modality)
        return torch.cat([feature_map, feature_map]), torch.arange(len(images)).repeat(2)


def network(backbone: TinyBackbone) -> CrossModalityNet:
    torch.manual_seed(0)
    head = PartTokenHead(num_parts=2, map_size=(4, 2), num_ids=4, channels=16)
    return CrossModalityNet(backbone=backbone, pool=AveragePool(), heads={"id": head})


def test_the_network_gives_heads_the_modality_of_each_row():
    batch, model = tiny_batch(), network(TinyBackbone())
    model(batch)  # running averages of the two necks differ
    rows = {kind: model.eval().embed(batch.select(batch.modality == kind)) for kind in (0, 1)}
    whole = model.embed(batch)
    for kind, embedded in rows.items():
        torch.testing.assert_close(whole[batch.modality == kind], embedded)
    assert "modality" not in model(batch).values
    assert "modality" not in model.provides


def test_rows_of_one_image_have_its_modality():
    batch, model = tiny_batch(), network(Doubling())
    model(batch)
    single = model.eval()(batch).values["features_bn"]
    torch.testing.assert_close(single[: len(batch)], single[len(batch) :])


def test_no_other_field_of_the_batch_reaches_a_head(monkeypatch):
    monkeypatch.setattr(PartTokenHead, "forward", lambda self, feature_map, labels: {})
    with pytest.raises(ConfigError, match="needs 'labels', which nothing before it provides"):
        network(TinyBackbone())


def test_map_size_has_two_numbers():
    with pytest.raises(ArgumentError, match="height and width"):
        PartTokenHead(map_size=(18,), num_ids=5, channels=4)
