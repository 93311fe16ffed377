from pathlib import Path

import pytest
import torch
from torch import nn

from vireid.config import Build, check_config, load_config
from vireid.config.check import problems_of
from vireid.config.load import make_config, read_unchecked
from vireid.core.errors import ConfigError, DataError
from vireid.core.registries import HEADS, LOSSES, POOLS
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.augment.transforms import RowFilter

MMD = Path(__file__).parents[3] / "configs" / "sysu" / "mmd.yml"
TINY = {"MODEL.BACKBONE.ARCH": "resnet10t", "MODEL.BACKBONE.PRETRAINED": False}
FACTS = DatasetInfo(num_ids=5, num_cameras=6)


def config(**changes):
    return read_unchecked(MMD, {**TINY, **{key.replace("__", "."): value for key, value in changes.items()}})


@pytest.fixture
def registered():
    """Register classes for one test: registered(LOSSES, Class, **slots)."""
    added = []

    def register(registry, target, **slots):
        registry.register(target, **slots) if not slots else registry.register(**slots)(target)
        added.append((registry, target.__name__))

    yield register
    for registry, name in added:
        del registry._entries[name]


def samples(identities, images=4):
    return [
        Sample(Path("x.jpg"), identity, modality, 1) for identity in range(identities) for modality in Modality
    ] * images


def test_the_check_leaves_random_numbers_and_default_device_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    check_config(config())
    assert torch.equal(torch.rand(4), expected)
    assert torch.zeros(1).device.type == "cpu"


def test_the_check_takes_the_facts_of_the_data():
    with pytest.raises(ConfigError) as error:
        check_config(config(OBJECTIVE__ID__NUM_IDS=3), DatasetInfo(num_ids=206, num_cameras=2))
    (problem,) = error.value.problems
    assert (problem.place, problem.key) == ("command line", "OBJECTIVE.ID.NUM_IDS")
    assert problem.text == "is a fact of the data (206 here); remove it"


def test_load_reports_files_and_content_together(tmp_path):
    path = tmp_path / "x.yml"
    path.write_text(f"_BASE_: {MMD}\nSEED: 1\nSEED: 2\nSIZ: [1, 2]\n")
    with pytest.raises(ConfigError) as error:
        load_config(path, ["ODD"])
    assert [str(problem) for problem in error.value.problems] == [
        "x.yml:3: the key 'SEED' is written twice (first in line 2)",
        "command line: overrides are KEY VALUE pairs, and 'ODD' stands alone (write: ODD VALUE)",
        "x.yml: SIZ is not a setting; did you mean 'SIZE'?",
    ]
    assert load_config(MMD).SEED == 0


def test_model_has_the_classes_of_the_data():
    model = Build(check_config(config()), FACTS).model()
    assert model.dims["logits"] == 5
    assert model.backbone.channels == model.dims["features"]


def test_heads_are_fitted_to_the_backbone_that_is_chosen():
    widths = {
        arch: Build(check_config(config(MODEL__BACKBONE__ARCH=arch)), FACTS).model(weights=False).dims["features"]
        for arch in ("resnet10t", "resnet26")
    }
    assert widths == {"resnet10t": 512, "resnet26": 2048}


def test_without_weights_nothing_is_loaded():
    cfg = config(MODEL__BACKBONE__PRETRAINED=True, MODEL__BACKBONE__WEIGHTS="not/there.safetensors")
    assert problems_of(cfg) == []
    Build(check_config(cfg), FACTS).model(weights=False)
    with pytest.raises(ValueError, match=r"not/there\.safetensors"):
        Build(check_config(cfg), FACTS).model()


def test_objective_has_weights_and_bindings():
    cfg = config(OBJECTIVE__TRIPLET__USES={"features": "pooled_image"})
    objective = Build(check_config(cfg), FACTS).objective(Build(check_config(cfg), FACTS).model())
    assert {name: term.weight for name, term in objective._terms.items()} == {"id": 1.0, "triplet": 2.0, "mmd": 0.25}
    assert objective._bindings["triplet"]["features"] == "pooled_image"


def test_terms_and_heads_get_the_width_of_what_they_read(registered):
    class Narrow(nn.Module):
        provides = frozenset({"features_att"})

        def __init__(self, *, feature_dim: int, num_cameras: int) -> None:
            super().__init__()
            self.dims, self.layer = {"features_att": 8}, nn.Linear(feature_dim, 8)

        def forward(self, features_bn):
            return {"features_att": self.layer(features_bn)}

    class Wide(nn.Module):
        def __init__(self, *, feature_dim: int, channels: int, num_ids: int) -> None:
            super().__init__()
            self.sizes = feature_dim, channels, num_ids

        def forward(self, labels, features):
            return features.mean()

    registered(HEADS, Narrow)
    registered(LOSSES, Wide)
    changes = {"MODEL.HEADS.NARROW": {"NAME": "Narrow"}, "OBJECTIVE.A": {"NAME": "Wide"}}
    changes["OBJECTIVE.B"] = {"NAME": "Wide", "USES": {"features": "features_att"}}
    cfg = config(**changes)
    assert problems_of(cfg) == []
    model = Build(check_config(cfg), FACTS).model()
    objective = Build(check_config(cfg), FACTS).objective(model)
    assert (objective.a.sizes, objective.b.sizes) == ((512, 512, 5), (8, 512, 5))
    assert model.heads["narrow"].layer.in_features == 512


def test_a_constructor_that_computes_is_built_on_the_cpu(registered):
    class Computing(nn.Module):
        def __init__(self, *, p: float = 3.0) -> None:
            super().__init__()
            if torch.tensor(p).item() < 1:
                raise ValueError(f"p must be at least 1, got {p}")

        def forward(self, feature_map):
            return feature_map.mean((2, 3))

    registered(POOLS, Computing)
    assert problems_of(config(MODEL__POOL={"NAME": "Computing"})) == []
    assert [str(problem) for problem in problems_of(config(MODEL__POOL={"NAME": "Computing", "P": 0}))] == [
        "command line: MODEL.POOL (Computing): p must be at least 1, got 0.0"
    ]


def test_attributes_are_provided_where_the_data_has_them(registered):
    class Reader(nn.Module):
        def forward(self, attributes):
            return attributes.mean()

    registered(LOSSES, Reader)
    cfg = config(**{"OBJECTIVE.READER": {"NAME": "Reader"}})
    assert "OBJECTIVE.READER (Reader) needs 'attributes'" in str(problems_of(cfg)[0])
    assert problems_of(cfg, DatasetInfo(num_ids=5, num_cameras=6, num_attributes=8)) == []
    assert problems_of(config(**{"OBJECTIVE.READER": {"NAME": "Reader"}, "DATA.ATTRIBUTES": "somewhere"})) == []


def test_a_fault_of_the_model_does_not_hide_those_of_the_objective():
    found = problems_of(config(MODEL__EMBEDDING=["nothing"], OBJECTIVE__ID__USES={"logits": "none_such"}))
    assert [problem.key for problem in found] == ["MODEL.EMBEDDING", "OBJECTIVE.ID"]


def test_sampler_is_a_function_of_seed_and_rank():
    cfg = config(SEED=4)
    rows = samples(6)
    sampler = Build(check_config(cfg)).sampler(rows)
    assert len(next(iter(sampler))) == 2 * 4 * 4
    assert len(next(iter(Build(check_config(cfg)).sampler(rows, rank=1, world=2)))) == 4 * 4
    assert list(sampler) != list(Build(check_config(config(SEED=5))).sampler(rows))


def test_a_fault_of_the_data_stays_a_fault_of_the_data():
    with pytest.raises(DataError, match=r"sysu/mmd\.yml: SAMPLER \(IdentityModalitySampler\): .*only 3 identities"):
        Build(check_config(config())).sampler(samples(3))


def test_the_rest_of_an_experiment():
    cfg = config(**{"SOLVER.LR": 0.2, "EVALUATION.INDOOR.NAME": "none", "SIMILARITY.BACKEND": "faiss"})
    optimizer = Build(check_config(cfg)).optimizer([{"params": [nn.Parameter(torch.zeros(1))]}])
    assert (type(optimizer).__name__, optimizer.defaults["lr"]) == ("SGD", 0.2)
    assert Build(check_config(cfg)).lr_schedule()(20) == pytest.approx(0.1)
    assert (Build(check_config(cfg)).epochs(), Build(check_config(cfg)).lr_scale()) == (61, {"backbone": 0.1})
    assert list(Build(check_config(cfg)).augment().steps) == ["crop", "flip"]
    evaluators = Build(check_config(cfg)).evaluators()
    assert list(evaluators) == ["all"]
    assert evaluators["all"].similarity.backend == Build(check_config(cfg)).similarity().backend == "faiss"
    assert type(Build(check_config(cfg)).dataset()).__name__ == "SysuMM01"
    assert check_config(cfg).info.num_ids == 395


def test_without_schedule_and_scale():
    cfg = config(**{"SOLVER.SCHEDULE": None, "SOLVER.LR_SCALE": None})
    assert problems_of(cfg) == []
    assert Build(check_config(cfg)).lr_schedule()(99) == 1.0
    assert Build(check_config(cfg)).lr_scale() == {}


def test_parts_of_a_broken_config_are_refused():
    with pytest.raises(ConfigError, match="DATA is missing"):
        Build(check_config(make_config({}))).dataset()
    with pytest.raises(ConfigError, match=r"MODEL\.POOL is missing"):
        Build(check_config(make_config({})), FACTS).model()
    with pytest.raises(ConfigError, match=r"SIMILARITY\.NAME = 'none', but a similarity is needed"):
        Build(check_config(config(SIMILARITY={"NAME": "none"}))).similarity()


def test_a_row_of_the_evaluation_can_be_re_ranked():
    again = {"NAME": "SysuProtocol", "RERANKING": {"NAME": "QueryExpansion", "K": 3, "THEN": {"NAME": "KReciprocal"}}}
    cfg = config(**{"EVALUATION.AGAIN": again})
    evaluators = Build(check_config(cfg)).evaluators()
    assert evaluators["all"].rerank is None
    assert evaluators["again"].rerank.description == (
        "alpha query expansion (k 3, alpha 3), then k-reciprocal (k1 20, k2 6, weight 0.3)"
    )


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (
            {"NAME": "KReciprocl"},
            r"EVALUATION\.ALL\.RERANKING\.NAME: no re-ranking is named .* did you mean 'KReciprocal'",
        ),
        ({"NAME": "KReciprocal", "K3": 1}, r"EVALUATION\.ALL\.RERANKING\.K3 is not an argument of KReciprocal"),
        ({"NAME": "KReciprocal", "WEIGHT": 2.0}, r"EVALUATION\.ALL\.RERANKING \(KReciprocal\): weight must be in"),
    ],
)
def test_a_wrong_re_ranking_is_found_before_the_run(node, text):
    with pytest.raises(ConfigError, match=text):
        check_config(config(**{"EVALUATION.ALL.RERANKING": node}))


def test_a_row_of_the_evaluation_can_be_searched_by_an_index():
    row = {"NAME": "SysuProtocol", "INDEX": {"NAME": "TorchExact", "MEMORY_MB": 64}}
    index = Build(check_config(config(**{"EVALUATION.FAST": row}))).evaluators()["fast"].index
    assert index().memory_mb == 64
    assert index() is not index()
    both = {**row, "RERANKING": {"NAME": "KReciprocal"}}
    with pytest.raises(
        ConfigError, match=r"EVALUATION\.FAST: an evaluation is either re-ranked or searched by an index"
    ):
        Build(check_config(config(**{"EVALUATION.FAST": both}))).evaluators()
    with pytest.raises(ConfigError, match=r"EVALUATION\.FAST\.INDEX \(TorchExact\): memory_mb must be at least 1"):
        check_config(
            config(
                **{
                    "EVALUATION.FAST.NAME": "SysuProtocol",
                    "EVALUATION.FAST.INDEX": {"NAME": "TorchExact", "MEMORY_MB": 0},
                }
            )
        )


STAGES = {
    "SAMPLER": {"NAME": "DistinctImageSampler", "IDENTITIES": 8, "PER_MODALITY": 4},
    "AUGMENTATION.GRAY": {"NAME": "RandomGrayscale", "PROBABILITY": 1.0, "MODALITY": "visible", "STOP": 6},
    "AUGMENTATION.THERMAL": {"NAME": "JitterOrBlur", "MODALITY": "infrared"},
    "OBJECTIVE.INTRA": {
        "NAME": "IntraModalityTriplet",
        "MARGIN": 0.1,
        "SCHEDULE": {"NAME": "EpochWindow", "STOP": 6},
    },
    "OBJECTIVE.MSEL": {
        "NAME": "ModalitySharedEnhancement",
        "WEIGHT": 0.5,
        "SCHEDULE": {"NAME": "EpochWindow", "START": 6},
    },
    "SOLVER.SCHEDULE": {"NAME": "SharedFloorCosine", "EPOCHS": 24},
}


def test_two_stages_of_images_and_losses_by_settings():
    build = Build(check_config(read_unchecked(MMD, {**TINY, **STAGES})))
    augment = build.augment()
    assert augment.only["gray"] == RowFilter(Modality.VISIBLE, start=0, stop=6)
    assert augment.only["thermal"] == RowFilter(Modality.INFRARED)
    assert build.lr_schedule()(23) == 0.01
