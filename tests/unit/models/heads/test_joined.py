from __future__ import annotations

import pytest
import torch

from vireid.core.errors import ArgumentError
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.identity import IdentityHead
from vireid.models.heads.joined import JoinedEmbedding
from vireid.models.pooling import AveragePool
from vireid.testing import TinyBackbone, tiny_batch


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_similarities_are_averaged_with_the_share(share):
    features, features_bn = torch.randn(2, 5, 8, dtype=torch.float64)
    joined = JoinedEmbedding(share_bn=share, feature_dim=8)(features, features_bn)["features_joined"]
    for i in range(5):
        for j in range(5):
            expected = (1 - share) * torch.cosine_similarity(features[i], features[j], dim=0)
            expected += share * torch.cosine_similarity(features_bn[i], features_bn[j], dim=0)
            torch.testing.assert_close(joined[i] @ joined[j], expected)


def test_a_half_is_what_two_fields_give():
    torch.manual_seed(0)
    heads = {"id": IdentityHead(num_ids=4, channels=16), "joined": JoinedEmbedding(share_bn=0.5, feature_dim=16)}
    backbone, embeddings = TinyBackbone(width=16), []
    for fields in (["features_joined"], ["features", "features_bn"]):
        net = CrossModalityNet(backbone=backbone, pool=AveragePool(), heads=heads, embedding=fields)
        with torch.no_grad():
            embeddings.append(net.eval().embed(tiny_batch()))
    torch.testing.assert_close(*embeddings)
    assert net.conditions == {"share_of_features_bn": "0.5"}, "numbers carry the share"


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_the_share_is_checked(share):
    with pytest.raises(ArgumentError, match=r"share_bn must be in 0 \.\. 1"):
        JoinedEmbedding(share_bn=share, feature_dim=2)
