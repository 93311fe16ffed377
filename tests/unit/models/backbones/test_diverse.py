from __future__ import annotations

import pytest
import torch

from vireid.core.types import Modality
from vireid.layers.norms import l2_normalize
from vireid.models.backbones.diverse import DiverseBackbone, EmbeddingExpansion
from vireid.models.cross_modality_net import CrossModalityNet, copies
from vireid.models.heads.identity import IdentityHead
from vireid.models.pooling import AveragePool
from vireid.testing import disable_dropout, tiny_batch


def backbone(**more) -> DiverseBackbone:
    torch.manual_seed(0)
    return disable_dropout(DiverseBackbone(**({"arch": "resnet10t"} | more)))


def test_blocks_of_rows_with_their_source():
    module, batch = backbone().eval(), tiny_batch(per_modality=1)
    feature_map, source = module(batch.images, batch.modality)
    assert feature_map.shape == (3 * len(batch), module.channels, 4, 2)
    assert source.tolist() == [*range(len(batch))] * 3
    assert copies(source).tolist() == [branch for branch in range(3) for _ in range(len(batch))]


def test_the_unit_sequence_written_out():
    module, batch = backbone(branches=1).eval(), tiny_batch(per_modality=1)
    for name, aggregation in module.aggregate.items():  # something other than the identity
        torch.nn.init.normal_(aggregation.channel.norm.weight, std=0.1)
        torch.nn.init.normal_(aggregation.position.norm.weight, std=0.1)
        assert name in ("stage1", "stage2", "stage3")
    with torch.no_grad():
        rows = []
        for image, modality in zip(batch.images, batch.modality, strict=True):
            stem = module.visible if modality == Modality.VISIBLE else module.infrared
            s0 = stem(image[None])
            s1 = module.aggregate["stage1"](module.shared["stage1"](s0), s0)
            s2 = module.aggregate["stage2"](module.shared["stage2"](s1), s1)
            s3 = module.aggregate["stage3"](module.shared["stage3"](s2), s2)
            rows.append(torch.cat([module.shared["stage4"](x) for x in (s3, module.expand.branches[0](s3))]))
        expected = torch.stack(rows, dim=1).flatten(0, 1)
        feature_map, _ = module(batch.images, batch.modality)
    torch.testing.assert_close(feature_map, expected, rtol=1e-4, atol=1e-4)


def test_expansion_after_stage_2_ends_in_stage_3():
    module, batch = backbone(expand_after="stage2").eval(), tiny_batch(per_modality=1)
    assert list(module.shared) == ["stage1", "stage2", "stage3"]
    assert list(module.aggregate) == ["stage1", "stage2"]
    feature_map, _ = module(batch.images, batch.modality)
    assert feature_map.shape[1:] == (module.channels, 4, 2)  # 1/16 of the image, as after stage 4 without stride


def test_known_numbers_of_visible_rows_change_nothing():
    module, batch = backbone().eval(), tiny_batch(per_modality=1)
    batch = batch.select(torch.argsort(batch.modality, stable=True))
    told, _ = module(batch.images, batch.modality, visible=len(batch) // 2)
    torch.testing.assert_close(told, module(batch.images, batch.modality)[0])


def test_an_expanded_branch_is_three_dilated_convolutions():
    torch.manual_seed(0)
    module, x = EmbeddingExpansion(8, dropout=0.0), torch.randn(2, 8, 5, 4)
    rows = module(x).unflatten(0, (3, 2))
    assert torch.equal(rows[0], x)
    for branch, result in zip(module.branches, rows[1:], strict=True):
        total = sum(
            torch.nn.functional.conv2d(x, conv.weight, padding=rate, dilation=rate)
            for rate, conv in zip((1, 2, 3), branch.dilated, strict=True)
        )
        torch.testing.assert_close(result, branch.widen((total / 3).relu()))


def test_dropout_falls_on_every_row_in_training_only():
    module, x = EmbeddingExpansion(8, dropout=0.5), torch.ones(2, 8, 5, 4)
    assert (module(x)[:2] == 0).any()
    assert torch.equal(module.eval()(x)[:2], x)


def test_the_descriptor_has_every_row_of_an_image_before_and_after_the_neck():
    module = backbone()
    net = CrossModalityNet(
        backbone=module,
        pool=AveragePool(),
        heads={"id": IdentityHead(num_ids=4, channels=module.channels)},
        embedding=["features", "features_bn"],
    ).eval()
    batch = tiny_batch(per_modality=1)
    with torch.no_grad():
        out, described = net(batch), net.embed(batch)
    assert described.shape == (len(batch), 6 * module.channels)
    six = [l2_normalize(out.values[name]).unflatten(0, (3, -1)) for name in ("features", "features_bn")]
    similarity = sum(rows @ rows.T for half in six for rows in half) / 6
    torch.testing.assert_close(described @ described.T, similarity, rtol=1e-4, atol=1e-5)


def test_parameters_of_the_release_on_resnet50():
    """The released checkpoints: 89.2 M numbers of which 47.1 M are unused (SYSU-MM01), 75.2 M and 62.1 M (RegDB)."""
    with torch.device("meta"):
        sizes = [
            sum(p.numel() for p in DiverseBackbone(arch="resnet50", expand_after=place).state_dict().values())
            for place in ("stage3", "stage2")
        ]
    heads = [(395 + 5) * 2048 + 1 - 2048, (206 + 5) * 1024 + 1 - 1024]  # classifier, neck with its two statistics
    assert [round((size + head) / 1e6, 1) for size, head in zip(sizes, heads, strict=True)] == [42.1, 13.1]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"expand_after": "stage4"}, "expand_after must be one of stage1, stage2, stage3"),
        ({"branches": 0}, "branches must be at least 1"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
    ],
)
def test_arguments_are_checked(wrong, text):
    with pytest.raises(ValueError, match=text):
        backbone(**wrong)
