from __future__ import annotations

import pytest
import torch

from vireid.config import Build, load_checked
from vireid.models import JigsawHead
from vireid.testing import tiny_batch
from vireid.zoo.configs import config_path


def test_each_part_has_its_own_neck_and_classifier():
    torch.manual_seed(0)
    head = JigsawHead(num_parts=4, num_ids=5, channels=6)
    with torch.no_grad():
        head.part_necks.weight.uniform_(0.5, 2)
    pooled, parts = torch.randn(7, 6), torch.randn(7, 4, 6)
    fields = head(pooled, parts)
    for part in range(4):
        neck = torch.nn.BatchNorm1d(6)
        neck.weight.data = head.part_necks.weight[part * 6 : part * 6 + 6].detach()
        expected = neck(parts[:, part]) @ head.part_classifiers[part].T
        torch.testing.assert_close(fields["part_logits"][:, part], expected)
    torch.testing.assert_close(fields["logits"], head.classifier(torch.nn.BatchNorm1d(6)(pooled)))


def test_retrieval_concatenates_the_global_feature_and_the_divided_parts():
    head = JigsawHead(num_parts=4, num_ids=5, channels=6).eval()
    pooled, parts = torch.randn(7, 6), torch.randn(7, 4, 6)
    fields = head(pooled, parts)
    assert torch.equal(fields["features"], torch.cat([pooled, *(parts[:, j] / 4 for j in range(4))], dim=1))
    assert set(fields) == {"features"}


def test_the_shifts_of_all_necks_are_frozen():
    head = JigsawHead(num_ids=5, channels=6)
    assert {name for name, p in head.named_parameters() if not p.requires_grad} == {"neck.bias", "part_necks.bias"}


def test_another_number_of_parts_is_refused():
    with pytest.raises(ValueError, match="num_parts is 4, and the backbone provides 3 parts; set NUM_PARTS to its"):
        JigsawHead(num_ids=5, channels=6)(torch.zeros(2, 6), torch.zeros(2, 3, 6))
    with pytest.raises(ValueError, match="num_parts, num_ids and channels must be at least 1, got 0, 5 and 6"):
        JigsawHead(num_parts=0, num_ids=5, channels=6)


def test_the_losses_of_transreid_as_a_config():
    half = {"USES": {"features": "pooled"}, "WEIGHT": 0.5}
    eighth = {"NAME": "PerPart", "WEIGHT": 0.125}
    changes = {
        "MODEL.BACKBONE": {"NAME": "TwoStreamViT", "ARCH": "test_vit", "JIGSAW_PARTS": 4, "PRETRAINED": False},
        "MODEL.POOL": {"NAME": "ClassTokenPool"},
        "MODEL.HEADS": {"ID": {"NAME": "JigsawHead"}},
        "MODEL.EMBEDDING": ["features"],
        "SIZE": [64, 32],
        "OBJECTIVE": {
            "ID": {"NAME": "IdentityCrossEntropy", "WEIGHT": 0.5},
            "TRIPLET": {"NAME": "BatchHardTriplet", **half},
            "PART_ID": {**eighth, "OVER": "part_logits", "LOSS": {"NAME": "IdentityCrossEntropy"}},
            "PART_TRIPLET": {**eighth, "OVER": "part_features", "LOSS": {"NAME": "BatchHardTriplet"}},
        },
    }
    build = Build(load_checked(config_path("sysu/baseline"), changes))
    model, batch = build.model(), tiny_batch()
    objective = build.objective(model)
    assert objective is not None
    assert model.eval().embed(batch).shape == (len(batch), 5 * 64)
