"""Nodes against registries of made-up classes: nothing of the project's own components."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest

from vireid.config.component import construct, resolved
from vireid.config.load import make_config, read_unchecked
from vireid.config.nodes import NodeChecker
from vireid.config.schema import Extra
from vireid.core.errors import ArgumentError, CheckpointError, ConfigError, DataError
from vireid.core.paths import InputFile
from vireid.core.registry import Registry
from vireid.core.types import DatasetInfo

PARTS = Registry("part")
STAGES = Registry("stage")
FACTS = DatasetInfo(num_ids=395, num_cameras=6)
EXTRAS = {"WEIGHT": Extra(float), "USES": Extra(Mapping[str, str] | None)}


@STAGES.register
class Stage:
    def __init__(self, *, dropout: float = 0.1, channels: int = 0):
        self.dropout, self.channels = dropout, channels


@PARTS.register
class Plain:
    def __init__(self, *, margin: float = 0.3, mode: Literal["soft", "hard"] = "soft", steps: tuple[int, ...] = (1, 2)):
        if margin < 0:
            raise ArgumentError("margin", f"must be at least 0, got {margin}")
        self.margin, self.mode, self.steps = margin, mode, steps


@PARTS.register
class Needy:
    def __init__(self, samples, *, root: str, num_ids: int, feature_dim: int, seed: int = 0):
        self.samples, self.root, self.num_ids, self.feature_dim, self.seed = samples, root, num_ids, feature_dim, seed


@PARTS.register(stage=STAGES, stages=STAGES)
class Nested:
    def __init__(self, *, stage: Stage | None = None, stages: Mapping[str, Stage] | None = None):
        self.stage, self.stages = stage, stages


@PARTS.register
class Empty:
    pass


@PARTS.register
class Broken:
    def __init__(self, *, kind: str):
        raise {"data": DataError, "check": CheckpointError, "config": ConfigError, "import": ImportError}[kind](
            ["one", "two"] if kind == "config" else "no way"
        )


def checked(node, *, facts=FACTS, runtime=frozenset({"samples", "seed"})):
    config = make_config({"PART": node})
    checker = NodeChecker(config, facts)
    part = checker.component(("PART",), node, PARTS, extras=EXTRAS, runtime=runtime)
    assert (part is None) == bool(checker.problems) or node.get("NAME") == "none"
    return part, [str(problem) for problem in checker.problems]


def built(node, **given):
    part, problems = checked(node)
    assert problems == []
    return construct(part, given)


def test_values_arrive_in_their_types():
    part = built({"NAME": "Plain", "MARGIN": 1, "STEPS": [3, 4], "WEIGHT": 2})
    assert (part.margin, part.mode, part.steps) == (1.0, "soft", (3, 4))


def test_extras_are_kept_apart():
    part, _ = checked({"NAME": "Plain", "WEIGHT": 2, "USES": {"features": "pooled"}})
    assert part.extras == {"WEIGHT": 2.0, "USES": {"features": "pooled"}}
    assert part.uses == {"features": "pooled"}
    assert checked({"NAME": "Plain", "USES": None})[0].uses == {}


def test_facts_and_runtime_values_are_filled_in():
    part = built({"NAME": "Needy", "ROOT": "x"}, samples=[1], seed=4, num_ids=395, feature_dim=8, channels=9)
    assert (part.samples, part.root, part.num_ids, part.feature_dim, part.seed) == ([1], "x", 395, 8, 4)


def test_a_fact_that_nobody_knows_keeps_its_default_or_is_an_error():
    assert built({"NAME": "Nested", "STAGE": {"NAME": "Stage"}}, channels=0).stage.channels == 0
    part, _ = checked({"NAME": "Needy", "ROOT": "x"})
    with pytest.raises(ConfigError) as error:
        construct(part, {"samples": [], "seed": 0, "num_ids": 395, "feature_dim": 0})
    (problem,) = error.value.problems
    assert (problem.place, problem.key) == ("config", "PART")
    assert problem.text.startswith("(Needy) needs feature_dim, which is unknown")
    with pytest.raises(ConfigError, match="needs num_ids, and this dataset has none"):
        construct(part, {"samples": [], "seed": 0, "feature_dim": 8})


def test_nested_components():
    node = {"NAME": "Nested", "STAGE": {"NAME": "Stage", "DROPOUT": 0}, "STAGES": {"EMB1": {"NAME": "Stage"}}}
    part = built(node, channels=7)
    assert (part.stage.dropout, part.stage.channels, list(part.stages)) == (0.0, 7, ["emb1"])
    node["STAGES"]["EMB2"] = {"NAME": "none"}
    assert list(built(node).stages) == ["emb1"]
    assert built({"NAME": "Nested", "STAGE": None, "STAGES": {}}).stages == {}
    assert built({"NAME": "Nested", "STAGES": None}).stages is None
    assert built({"NAME": "Nested", "STAGE": {"NAME": "none"}}).stage is None


def test_a_class_without_a_constructor_takes_nothing():
    assert isinstance(built({"NAME": "Empty"}), Empty)
    assert checked({"NAME": "Empty", "X": 1})[1] == ["config: PART.X is not an argument of Empty (takes no arguments)"]


def test_none_is_no_part_and_no_problem():
    assert checked({"NAME": "none", "WEIGHT": 2}) == (None, [])
    assert checked({"NAME": "none", "MARGIN": 2})[1] == [
        "config: PART.MARGIN is an argument of nothing: PART.NAME is none"
    ]


KNOWN = "Known: Broken, Empty, Needy, Nested, Plain"


@pytest.mark.parametrize(
    ("node", "problems"),
    [
        ("Plain", ["config: PART = 'Plain' is not a component; its class goes into PART.NAME"]),
        ({"NAME": "Plian"}, [f"config: PART.NAME: no part is named 'Plian'; did you mean 'Plain'? {KNOWN}"]),
        ({"NAME": "None"}, [f"config: PART.NAME: no part is named 'None'; did you mean 'none'? {KNOWN}"]),
        ({"NAME": 3}, ["config: PART.NAME = 3 is not a class name (known: Broken, Empty, Needy, Nested, Plain)"]),
        ({"NAM": "Plain"}, ["config: PART.NAM stands where NAME is missing; did you mean 'NAME'?"]),
        ({"MARGIN": 1}, ["config: PART has no NAME (keys: MARGIN)"]),
        (
            {"NAME": "Plain", "MARGN": 1},
            ["config: PART.MARGN is not an argument of Plain; did you mean 'MARGIN'? (takes: MARGIN, MODE, STEPS)"],
        ),
        (
            {"NAME": "Plain", "margin": 1},
            ["config: PART.margin is not an argument of Plain; did you mean 'MARGIN'? (takes: MARGIN, MODE, STEPS)"],
        ),
        (
            {"NAME": "Plain", "WEIGTH": 1},
            ["config: PART.WEIGTH is not an argument of Plain; did you mean 'WEIGHT'? (takes: MARGIN, MODE, STEPS)"],
        ),
        ({"NAME": "Plain", "MARGIN": "big"}, ["config: PART.MARGIN = 'big' is not a number"]),
        ({"NAME": "Plain", "MARGIN": True}, ["config: PART.MARGIN = true is not a number"]),
        ({"NAME": "Plain", "WEIGHT": None}, ["config: PART.WEIGHT = null is not a number"]),
        (
            {"NAME": "Plain", "MODE": "sof"},
            ["config: PART.MODE = 'sof' is not one of ('soft', 'hard'); did you mean 'soft'?"],
        ),
        ({"NAME": "Plain", "NUM_IDS": 3}, ["config: PART.NUM_IDS is a fact of the data (395 here); remove it"]),
        (
            {"NAME": "Plain", "CHANNELS": 3},
            ["config: PART.CHANNELS is a fact of the model, known when it is built; remove it"],
        ),
        ({"NAME": "Needy", "ROOT": "x", "SEED": 3}, ["config: PART.SEED is filled in at run time; remove it"]),
        ({"NAME": "Needy"}, ["config: PART (Needy) needs ROOT (takes: ROOT)"]),
        (
            {"NAME": "Needy", "SEED": 3, "ROT": "x"},
            [
                "config: PART.SEED is filled in at run time; remove it",
                "config: PART.ROT is not an argument of Needy; did you mean 'ROOT'? (takes: ROOT)",
            ],
        ),
        (
            {"NAME": "Nested", "STAGE": "Stage"},
            ["config: PART.STAGE = 'Stage' is not a component; its class goes into PART.STAGE.NAME"],
        ),
        (
            {"NAME": "Nested", "STAGES": {"emb1": {"NAME": "Stage"}, "EMB2": {"NAME": "Stage", "DROPUT": 1}}},
            [
                "config: PART.STAGES.emb1 is not a name of an entry (capital letters, digits, _); write EMB1",
                "config: PART.STAGES.EMB2.DROPUT is not an argument of Stage; did you mean 'DROPOUT'? (takes: DROPOUT)",
            ],
        ),
        ({"NAME": "Nested", "STAGES": 3}, ["config: PART.STAGES = 3 is not a map of stage entries"]),
    ],
)
def test_problems(node, problems):
    config = make_config({"PART": node})
    checker = NodeChecker(config, FACTS)
    runtime = frozenset({"samples", "seed"})
    assert checker.component(("PART",), node, PARTS, extras=EXTRAS, runtime=runtime) is None
    assert [str(problem) for problem in checker.problems] == problems


def test_without_data_the_number_is_not_told():
    assert checked({"NAME": "Plain", "NUM_IDS": 3}, facts=None)[1] == [
        "config: PART.NUM_IDS is a fact of the data; remove it"
    ]


@pytest.mark.parametrize(
    ("node", "kind", "text"),
    [
        ({"NAME": "Plain", "MARGIN": -1}, ConfigError, "config: PART (Plain): margin must be at least 0, got -1.0"),
        ({"NAME": "Broken", "KIND": "data"}, DataError, "config: PART (Broken): no way"),
        ({"NAME": "Broken", "KIND": "check"}, CheckpointError, "config: PART (Broken): no way"),
        ({"NAME": "Broken", "KIND": "import"}, ConfigError, "config: PART (Broken): no way"),
        (
            {"NAME": "Broken", "KIND": "config"},
            ConfigError,
            "config: PART (Broken): one\nconfig: PART (Broken): two",
        ),
    ],
)
def test_what_a_constructor_refuses_has_a_place(node, kind, text):
    with pytest.raises(kind) as error:
        built(node)
    assert str(error.value) == text


def test_resolved_has_every_default_and_builds_the_same():
    node = {"NAME": "Nested", "STAGES": {"EMB1": {"NAME": "Stage"}}, "WEIGHT": 2}
    part, _ = checked(node)
    assert resolved(part) == {
        "NAME": "Nested",
        "STAGE": None,
        "STAGES": {"EMB1": {"NAME": "Stage", "DROPOUT": 0.1}},
        "WEIGHT": 2.0,
    }
    plain = resolved(checked({"NAME": "Plain"})[0])
    assert plain == {"NAME": "Plain", "MARGIN": 0.3, "MODE": "soft", "STEPS": [1, 2]}
    assert resolved(checked(plain)[0]) == plain


FILES = Registry("file")


@FILES.register
class WithPaths:
    def __init__(self, *, file: InputFile | None = None, folder: Path = Path("x"), word: str = "~/w"):
        self.file, self.folder, self.word = file, folder, word


def test_constructors_get_paths_expanded_and_configs_keep_them_as_written(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    node = {"NAME": "WithPaths", "FILE": "~/a/../w.pth", "FOLDER": "~/f", "WORD": "~/w"}
    part = NodeChecker(make_config({"X": node}), FACTS).component(("X",), node, FILES)
    built = construct(part, {})
    assert (built.file, built.folder, built.word) == (str(tmp_path / "w.pth"), tmp_path / "f", "~/w")
    assert resolved(part) == node


def test_a_refused_argument_has_the_file_that_wrote_it(tmp_path):
    (tmp_path / "base.yml").write_text("PART: {NAME: Plain, MARGIN: -1}\n")
    (tmp_path / "top.yml").write_text("_BASE_: base.yml\nPART: {MODE: hard}\n")
    for overrides, place in (([], "base.yml"), (["PART.MARGIN", "-2"], "command line")):
        config = read_unchecked(tmp_path / "top.yml", overrides)
        part = NodeChecker(config).component(("PART",), config.PART, PARTS)
        with pytest.raises(ConfigError) as caught:
            construct(part, {})
        (problem,) = caught.value.problems
        assert (problem.place, problem.key) == (place, "PART")
