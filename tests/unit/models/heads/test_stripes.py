from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from vireid.core.errors import ConfigError
from vireid.layers.norms import l2_normalize
from vireid.layers.pooling import generalized_mean
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.stripes import StripeHead
from vireid.models.pooling import AveragePool
from vireid.testing import TinyBackbone, tiny_batch


def head(**more) -> StripeHead:
    torch.manual_seed(0)
    return StripeHead(**({"num_parts": 3, "dim": 4, "num_ids": 5, "channels": 7} | more))


def stripe_by_stripe(module: StripeHead, feature_map: torch.Tensor):
    """Slices, a 1 x 1 convolution, a BN over maps and a linear layer for each stripe, as the release has them."""
    features, logits = [], []
    for part, stripe in enumerate(feature_map.chunk(module.num_parts, dim=2)):
        pooled = generalized_mean(stripe, module.p)[:, :, None, None]
        projected = nn.functional.conv2d(
            pooled, module.project.weight[part][:, :, None, None], module.project.bias[part]
        )
        norm = nn.BatchNorm2d(module.dim).to(feature_map.dtype).train(module.training)
        rows = slice(part * module.dim, (part + 1) * module.dim)
        norm.load_state_dict(
            {name: value[rows] if value.dim() else value for name, value in module.norm.state_dict().items()}
        )
        features.append(norm(projected).relu().flatten(1))
        logits.append(nn.functional.linear(features[-1], module.classifier.weight[part], module.classifier.bias[part]))
    return torch.stack(features, 1), torch.stack(logits, 1)


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("p", [3.0, 10.0])
def test_equals_the_stripes_one_by_one(mode, p):
    module = head(p=p).double().train(mode)
    feature_map = torch.rand(6, 7, 6, 2, dtype=torch.float64)
    features, logits = stripe_by_stripe(module, feature_map)
    out = module(feature_map)
    torch.testing.assert_close(out["part_features"], features)
    torch.testing.assert_close(out["features"], features.flatten(1))
    if mode:
        torch.testing.assert_close(out["part_logits"], logits)
    else:
        assert set(out) == {"features", "part_features"}


def test_memory_order_of_the_map_means_nothing():
    module, feature_map = head().eval(), torch.rand(2, 7, 6, 2)
    ours = module(feature_map.to(memory_format=torch.channels_last))["features"]
    torch.testing.assert_close(ours, module(feature_map)["features"])


def test_released_initial_values():
    module = head(num_parts=6, dim=256, channels=512, num_ids=395)
    assert float(module.project.weight.detach().std()) == pytest.approx((2 / 512) ** 0.5, rel=0.01)
    assert 0 < float(module.project.bias.detach().abs().max()) <= 512**-0.5
    assert float(module.classifier.weight.detach().std()) == pytest.approx(0.001, rel=0.01)
    assert not module.classifier.bias.any()
    assert torch.equal(module.norm.weight, torch.ones(1536))


def test_released_number_of_parameters():
    """HCT, 6 stripes of 256 and 395 identities: local layers 3,150,336, classifiers 609,090."""
    module = StripeHead(num_ids=395, channels=2048)
    sizes = {name: sum(p.numel() for p in child.parameters()) for name, child in module.named_children()}
    assert sizes["project"] + sizes["norm"] == 3_150_336
    assert sizes["classifier"] == 609_090


def test_the_descriptor_is_the_unit_concatenation():
    net = CrossModalityNet(
        backbone=TinyBackbone(),
        pool=AveragePool(),
        heads={"parts": head(channels=16, num_parts=2)},
        embedding=["features"],
    ).eval()
    batch = tiny_batch()
    with torch.no_grad():
        expected = l2_normalize(net(batch).values["features"])
        torch.testing.assert_close(net.embed(batch), expected)


def test_a_height_that_cannot_be_cut_names_the_way_out():
    with pytest.raises(ConfigError, match=re.escape("a map of height 8 cannot be cut into 3 equal stripes")) as error:
        head()(torch.rand(2, 7, 8, 2))
    assert "NUM_PARTS" in str(error.value)
    assert "SIZE" in str(error.value)


@pytest.mark.parametrize(("wrong", "text"), [({"num_parts": 0}, "num_parts and dim"), ({"p": 0}, "p must be above 0")])
def test_arguments_are_checked(wrong, text):
    with pytest.raises(ValueError, match=text):
        head(**wrong)
