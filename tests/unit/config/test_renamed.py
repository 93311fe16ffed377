"""Former names in config files: read under their current names, logged, and compared in stored configs."""

from __future__ import annotations

from pathlib import Path

import pytest

from vireid.config import load_checked
from vireid.config import show as explain
from vireid.config.load import read_unchecked
from vireid.config.renamed import COMPONENTS, KEYS, move_origins, use_current_names
from vireid.config.schema import BY_PATH, SETTINGS
from vireid.config.yaml import dump, parse
from vireid.core.errors import ConfigError

CONFIGS = Path(__file__).parents[3] / "configs"
MMD = CONFIGS / "sysu" / "mmd.yml"
TINY = ["MODEL.BACKBONE.ARCH", "resnet10t", "MODEL.BACKBONE.PRETRAINED", "false"]


@pytest.fixture
def write(tmp_path):
    def write_one(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_one


def test_former_names_are_read_with_a_message_that_names_the_current_ones(write, caplog):
    base = write("base.yml", f"_BASE_: {MMD}\nMODEL:\n  DESCRIPTOR: [features]\n  UNIT: false\n")
    config = read_unchecked(base, ["SCORER.NAME", "EuclideanScorer"])
    assert (config.MODEL.EMBEDDING, config.MODEL.NORMALIZE) == (["features"], False)
    assert config.SIMILARITY == {"NAME": "Similarity", "METRIC": "euclidean"}
    assert "SCORER" not in config
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "base.yml:3: MODEL.DESCRIPTOR is now MODEL.EMBEDDING",
        "base.yml:4: MODEL.UNIT is now MODEL.NORMALIZE",
        "command line: SCORER is now SIMILARITY",
        "command line: SIMILARITY.NAME EuclideanScorer is now Similarity with METRIC euclidean",
    ]


def test_a_child_wins_over_its_base_whichever_name_each_writes(write):
    base = write("base.yml", "MODEL: {EMBEDDING: [a]}\n")
    child = write("child.yml", f"_BASE_: {base}\nMODEL: {{DESCRIPTOR: [b]}}\n")
    newest = write("newest.yml", f"_BASE_: {child}\nMODEL: {{EMBEDDING: [c]}}\n")
    assert read_unchecked(child).MODEL.EMBEDDING == ["b"]
    assert read_unchecked(newest).MODEL.EMBEDDING == ["c"]


def test_problems_are_at_the_line_of_the_former_name(write):
    path = write("x.yml", f"_BASE_: {MMD}\nSCORER: {{BACKEND: fais}}\nMODEL: {{BACKBONE: {{ARCH: resnet10t}}}}\n")
    with pytest.raises(ConfigError) as caught:
        load_checked(path)
    (problem,) = caught.value.problems
    assert (problem.place, problem.key, problem.suggestion) == ("x.yml", "SIMILARITY.BACKEND", "faiss")


def test_a_key_under_both_names_is_refused(write):
    path = write("x.yml", "MODEL:\n  EMBEDDING: [a]\n  DESCRIPTOR: [b]\n")
    with pytest.raises(ConfigError) as caught:
        read_unchecked(path)
    (problem,) = caught.value.problems
    assert (problem.place, problem.key) == ("x.yml:3", "MODEL.DESCRIPTOR")
    assert "MODEL.EMBEDDING" in problem.text


def test_a_run_of_an_older_version_is_resumed():
    checked = load_checked(MMD, TINY)
    tree = parse(explain.resolved_text(checked)).value
    model = tree["MODEL"]
    model["DESCRIPTOR"], model["UNIT"] = model.pop("EMBEDDING"), model.pop("NORMALIZE")
    tree["SCORER"] = {"NAME": "TorchScorer"}
    del tree["SIMILARITY"], tree["LABELS"]
    del tree["AUGMENTATION"]["FLIP"]["PROBABILITY"]  # as if the argument were newer than the run
    assert explain.differences(dump(tree), checked) == []
    margin = tree["OBJECTIVE"]["MMD"].pop("MARGIN")  # the config has another value than the default
    assert explain.differences(dump(tree), checked) == ["OBJECTIVE.MMD.MARGIN was nothing, is 1.4"]
    tree["OBJECTIVE"]["MMD"]["MARGIN"] = margin
    model["DESCRIPTOR"] = ["features"]
    assert explain.differences(dump(tree), checked) == ["MODEL.EMBEDDING was ['features'], is ['features_bn']"]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ".".join(key.old))
def test_every_current_name_exists_and_no_former_name_does(key):
    known = {*BY_PATH, *(setting.path for setting in SETTINGS.values())}
    assert key.new in known or key.new[:-1] in known
    assert key.old not in known


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.old)
def test_every_renamed_component_builds(component):
    registry = BY_PATH[component.slot].registry
    assert component.old not in registry
    node = {"NAME": component.old}
    use_current_names(tree := {component.slot[0]: node})
    arguments = {key.lower(): value for key, value in tree[component.slot[0]].items() if key != "NAME"}
    registry.get(component.new).target(**arguments)


def test_an_argument_is_renamed_in_every_slot():
    tree = {
        "EVALUATION": {"A": {"RERANKING": {"NAME": "QueryExpansion", "THEN": {"NAME": "KReciprocal", "NEIGHBOURS": 1}}}}
    }
    renamings, _ = use_current_names(tree)
    assert tree["EVALUATION"]["A"]["RERANKING"]["THEN"] == {"NAME": "KReciprocal", "NEIGHBORS": 1}
    assert renamings[0].new == ("EVALUATION", "A", "RERANKING", "THEN", "NEIGHBORS")


def test_origins_of_a_section_move_with_it():
    tree = {"SCORER": {"NAME": "TorchScorer"}}
    origins = {("SCORER",): 1, ("SCORER", "NAME"): 2, ("SEED",): 3}
    move_origins(origins, use_current_names(tree)[0])
    assert origins == {("SIMILARITY",): 1, ("SIMILARITY", "NAME"): 2, ("SEED",): 3}
