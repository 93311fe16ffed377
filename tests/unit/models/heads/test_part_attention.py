from __future__ import annotations

import pytest
import torch

from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.part_attention import PartAttention, PartAttentionHead
from vireid.models.pooling import AveragePool
from vireid.testing import TinyBackbone, tiny_batch


def head(**more) -> PartAttentionHead:
    torch.manual_seed(0)
    return PartAttentionHead(**({"num_parts": 3, "num_ids": 5, "channels": 7} | more))


def row_by_row(module: PartAttention, feature_map: torch.Tensor, features_bn: torch.Tensor) -> torch.Tensor:
    """The sum before the neck: each image, each part, each pair of parts in a loop; H a multiple of the parts."""
    rows = []
    for image, base in zip(feature_map, features_bn, strict=True):
        parts = [band.mean(dim=(1, 2)) for band in image.chunk(module.num_parts, dim=1)]
        gate = module.gate.softmax(0)
        total = base.clone()
        for p, part in enumerate(parts):
            scores = torch.stack([module.query(part) @ module.key(other) for other in parts])
            for share, other in zip(scores.softmax(0), parts, strict=True):
                total = total + gate[p] * share * module.value(other)
        rows.append(total)
    return torch.stack(rows)


@pytest.mark.parametrize("mode", [True, False])
def test_equals_the_attention_part_by_part(mode):
    module = head().double().train(mode).attention
    torch.nn.init.normal_(module.gate)
    feature_map, features_bn = torch.rand(4, 7, 6, 2).double(), torch.randn(4, 7).double()
    expected = row_by_row(module, feature_map, features_bn)
    neck = torch.nn.BatchNorm1d(7).double().train(mode)
    neck.load_state_dict(module.neck.state_dict())
    torch.testing.assert_close(module(feature_map, features_bn), neck(expected))


def test_both_descriptors_go_through_one_classifier():
    module, feature_map = head().train(), torch.rand(4, 7, 6, 2)
    out = module(feature_map.mean(dim=(2, 3)), feature_map)
    torch.testing.assert_close(out["logits_att"], module.identity.classifier(out["features_att"]))
    torch.testing.assert_close(out["logits"], module.identity.classifier(out["features_bn"]))
    assert len([name for name, _ in module.named_parameters() if "classifier" in name]) == 1


def test_the_attention_adds_to_the_normalised_descriptor():
    """With the parts' answer at zero only the neck of the neck is left."""
    module, feature_map = head().eval(), torch.rand(4, 7, 6, 2)
    torch.nn.init.zeros_(module.attention.value.weight)
    torch.nn.init.zeros_(module.attention.value.bias)
    out = module(feature_map.mean(dim=(2, 3)), feature_map)
    torch.testing.assert_close(out["features_att"], module.attention.neck(out["features_bn"]))


def test_the_release_s_gate_starts_even():
    assert head(num_parts=4).attention.gate.tolist() == [0.25] * 4


def test_any_height_will_do():
    """Bands overlap where the height is no multiple of the parts, as in the release."""
    out = head()(torch.rand(2, 7), torch.rand(2, 7, 8, 3))
    assert out["features_att"].shape == (2, 7)


def test_retrieval_by_the_part_attended_descriptor():
    net = CrossModalityNet(
        backbone=TinyBackbone(), pool=AveragePool(), heads={"id": head(channels=16)}, embedding=["features_att"]
    ).eval()
    batch = tiny_batch()
    with torch.no_grad():
        expected = torch.nn.functional.normalize(net(batch).values["features_att"])
        torch.testing.assert_close(net.embed(batch), expected)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="num_parts must be at least 1, got 0"):
        head(num_parts=0)
