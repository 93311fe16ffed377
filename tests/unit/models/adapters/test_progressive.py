"""PAE against the paper's own way, with a map for each attribute; subsets of stages; what is refused."""

import itertools
from pathlib import Path

import pytest
import torch

from vireid.config import Build, check_config, load_checked, load_config
from vireid.config.load import read_unchecked
from vireid.core.errors import ConfigError
from vireid.core.types import DatasetInfo, Progress
from vireid.models.adapters.progressive import ProgressiveAttributeEmbedding
from vireid.models.adapters.stages import ChannelGateStage, CrossAttentionStage, SpatialAttentionStage
from vireid.models.pooling import AveragePool, GeM, MaxPool
from vireid.testing import tiny_batch

R, C, A = 4, 6, 3
CONFIG = Path(__file__).parents[4] / "configs" / "sysu" / "mmd_pae_aal.yml"


@pytest.fixture
def given():
    generator = torch.Generator().manual_seed(0)
    feature_map = torch.randn(R, C, 4, 2, generator=generator, dtype=torch.float64).relu()
    return feature_map, torch.rand(R, A, generator=generator, dtype=torch.float64)


def stages():
    size = {"num_attributes": A, "channels": C}
    return {
        "emb1": CrossAttentionStage(**size),
        "emb2": SpatialAttentionStage(**size),
        "emb3": ChannelGateStage(width=5, **size),
    }


@pytest.mark.parametrize("pool", [GeM(p=3.0), AveragePool(), MaxPool()], ids=lambda pool: type(pool).__name__)
def test_equals_the_form_with_a_map_for_each_attribute(given, pool):
    feature_map, attributes = given
    adapter = ProgressiveAttributeEmbedding(stages=stages(), channels=C).double().eval()
    pooled = pool(feature_map)
    new_map, more = adapter(pooled, feature_map, attributes)

    tokens = adapter.neck(pooled)[:, None]
    for name in ("emb1", "emb2", "emb3"):
        tokens = adapter.stages[name](tokens, feature_map, attributes)
    maps = [feature_map * tokens[:, i].sigmoid()[:, :, None, None] for i in range(A)]  # equation 7
    for i, each in enumerate(maps):
        torch.testing.assert_close(more["attribute_feature"][:, i], pool(each), rtol=1e-9, atol=1e-5)  # GeM's eps
    identity = torch.stack(maps).mean(dim=0).sigmoid()  # equation 10
    torch.testing.assert_close(new_map, feature_map * identity)


def test_rows_follow_their_order(given):
    feature_map, attributes = given
    adapter = ProgressiveAttributeEmbedding(stages=stages(), channels=C).double().train()
    order = torch.tensor([2, 0, 3, 1])
    pooled = feature_map.mean(dim=(2, 3))
    new_map, more = adapter(pooled, feature_map, attributes)
    shuffled_map, shuffled = adapter(pooled[order], feature_map[order], attributes[order])
    torch.testing.assert_close(shuffled_map, new_map[order])
    torch.testing.assert_close(shuffled["attribute_feature"], more["attribute_feature"][order])


SUBSETS = [set(s) for n in (1, 2, 3) for s in itertools.combinations(("EMB1", "EMB2", "EMB3"), n)]
TINY = {"MODEL.BACKBONE.ARCH": "resnet10t", "MODEL.BACKBONE.PRETRAINED": False}
FACTS = DatasetInfo(num_ids=4, num_cameras=6, num_attributes=8)


@pytest.mark.parametrize("kept", SUBSETS, ids=lambda kept: "+".join(sorted(kept)))
def test_any_subset_of_stages_trains_and_evaluates(kept):
    off = {f"MODEL.ADAPTER.STAGES.{name}.NAME": "none" for name in {"EMB1", "EMB2", "EMB3"} - kept}
    config = read_unchecked(CONFIG, {**TINY, **off})
    model = Build(check_config(config), FACTS).model()
    objective = Build(check_config(config), FACTS).objective(model)
    batch = tiny_batch(per_modality=2)
    total, _ = objective(batch, model(batch), Progress())
    total.backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
    assert model.eval().embed(batch).isfinite().all()


def test_all_stages_off_is_an_error_that_says_what_to_write():
    off = [word for n in (1, 2, 3) for word in (f"MODEL.ADAPTER.STAGES.EMB{n}.NAME", "none")]
    with pytest.raises(ConfigError, match="all of them are off") as caught:
        load_config(CONFIG, off)
    assert "set ADAPTER: {NAME: none}" in str(caught.value)


def test_without_stages_it_cannot_be_built():
    with pytest.raises(ValueError, match="all of them are off"):
        ProgressiveAttributeEmbedding(stages={}, channels=C)


def test_retrieval_needs_nothing_of_aal():
    model = Build(load_checked(CONFIG, TINY), FACTS).model().eval()
    batch = tiny_batch(per_modality=1)
    with torch.no_grad():
        whole = model.embed(batch)
        del model.heads["attributes"]
        assert torch.equal(model.embed(batch), whole)
