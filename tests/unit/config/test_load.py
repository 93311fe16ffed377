import copy
import pickle
from pathlib import Path

import pytest

from vireid.config.load import make_config, read_config, read_unchecked
from vireid.core.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    """Write files of a folder: name -> text; returns the folder."""

    def write_all(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_yml", ".yml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write_all


def problems(path, overrides=()):
    with pytest.raises(ConfigError) as error:
        read_unchecked(path, overrides)
    return [str(problem) for problem in error.value.problems]


# -- merging


def test_later_bases_win_and_the_file_wins_over_them(write):
    folder = write(
        a_yml="SEED: 1\nMODEL: {POOL: {NAME: GeM, P: 3.0}}\n",
        b_yml="SEED: 2\nMODEL: {POOL: {P: 4.0}}\n",
        c_yml="_BASE_: [a.yml, b.yml]\nOUTPUT_DIR: here\n",
    )
    config = read_unchecked(folder / "c.yml")
    assert (config.SEED, config.OUTPUT_DIR) == (2, "here")
    assert config.MODEL.POOL == {"NAME": "GeM", "P": 4.0}
    assert "_BASE_" not in config


def test_bases_lie_relative_to_the_file_that_names_them(write, monkeypatch):
    folder = write(
        inner__shared_yml="SEED: 3\n", inner__method_yml="_BASE_: shared.yml\n", top_yml="_BASE_: inner/method.yml\n"
    )
    monkeypatch.chdir(folder.parent)
    assert read_unchecked(folder / "top.yml").SEED == 3


def test_order_is_that_of_the_first_mention(write):
    folder = write(
        a_yml="OBJECTIVE: {ID: {NAME: A}, TRIPLET: {NAME: B}}\n",
        b_yml="_BASE_: a.yml\nOBJECTIVE: {MMD: {NAME: D}, TRIPLET: {NAME: C}, ID: {WEIGHT: 2}}\n",
    )
    assert list(read_unchecked(folder / "b.yml").OBJECTIVE) == ["ID", "TRIPLET", "MMD"]


def test_another_name_drops_the_arguments_and_keeps_what_belongs_to_the_slot(write):
    folder = write(
        a_yml="""
OBJECTIVE: {TRIPLET: {NAME: A, MARGIN: 0.3, WEIGHT: 2.0, SCHEDULE: {NAME: S}, USES: {features: pooled}}}
MODEL: {POOL: {NAME: GeM, P: 3.0}, HEADS: {ID: {NAME: H, DIM: 2, USES: {pooled: pooled_image}}}}
SOLVER: {NAME: SGD, LR: 0.1, EPOCHS: 61, LR_SCALE: {backbone: 0.1}, SCHEDULE: {NAME: W, WARMUP: 10}}
""",
        b_yml="""
_BASE_: a.yml
OBJECTIVE: {TRIPLET: {NAME: B}}
MODEL: {POOL: {NAME: AveragePool}, HEADS: {ID: {NAME: G}}}
SOLVER: {NAME: Adam, SCHEDULE: {NAME: V}}
""",
    )
    config = read_unchecked(folder / "b.yml")
    kept = {"NAME": "B", "WEIGHT": 2.0, "SCHEDULE": {"NAME": "S"}, "USES": {"features": "pooled"}}
    assert kept == config.OBJECTIVE.TRIPLET
    assert config.MODEL.POOL == {"NAME": "AveragePool"}
    assert config.MODEL.HEADS.ID == {"NAME": "G", "USES": {"pooled": "pooled_image"}}
    scale = {"backbone": 0.1}
    assert {"NAME": "Adam", "EPOCHS": 61, "LR_SCALE": scale, "SCHEDULE": {"NAME": "V"}} == config.SOLVER


def test_the_same_name_keeps_the_arguments(write):
    folder = write(a_yml="MODEL: {POOL: {NAME: GeM, P: 3.0}}", b_yml="_BASE_: a.yml\nMODEL: {POOL: {NAME: GeM}}")
    assert read_unchecked(folder / "b.yml").MODEL.POOL.P == 3.0


def test_none_and_back_again_starts_afresh(write):
    folder = write(
        a_yml="MODEL: {POOL: {NAME: GeM, P: 3.0}}",
        b_yml="_BASE_: a.yml\nMODEL: {POOL: {NAME: none}}",
        c_yml="_BASE_: b.yml\nMODEL: {POOL: {NAME: GeM}}",
    )
    assert read_unchecked(folder / "c.yml").MODEL.POOL == {"NAME": "GeM"}


def test_lr_scale_is_replaced_whole(write):
    folder = write(
        a_yml="SOLVER: {NAME: SGD, LR_SCALE: {backbone: 0.1}}", b_yml="_BASE_: a.yml\nSOLVER: {LR_SCALE: {a.b: 1}}"
    )
    assert read_unchecked(folder / "b.yml").SOLVER.LR_SCALE == {"a.b": 1}
    assert read_unchecked(folder / "b.yml", ["SOLVER.LR_SCALE", "{c.d: 2}"]).SOLVER.LR_SCALE == {"c.d": 2}


def test_nothing_is_shared_between_files(write):
    folder = write(a_yml="X: &x {A: [1]}\nY: *x\n", b_yml="_BASE_: a.yml\nX: {A: [2]}\n")
    config = read_unchecked(folder / "b.yml")
    assert (config.X.A, config.Y.A) == ([2], [1])


# -- origins


def test_origins_of_nodes_leaves_and_overrides(write):
    folder = write(
        a_yml="SEED: 1\nMODEL:\n  POOL: {NAME: GeM, P: 3.0}\n",
        b_yml="_BASE_: a.yml\nMODEL:\n  HEADS: {ID: {NAME: H}}\n",
    )
    origins = read_unchecked(folder / "b.yml", ["MODEL.POOL.P", "4"]).origins
    assert origins.place(("SEED",)) == "a.yml"
    assert (origins.of(("MODEL", "POOL", "NAME")).file, origins.of(("MODEL", "POOL", "NAME")).line) == (
        folder / "a.yml",
        3,
    )
    assert origins.place(("MODEL", "HEADS", "ID")) == "b.yml"
    assert origins.place(("MODEL", "POOL", "P")) == "command line"
    assert origins.place(("NOT", "THERE")) == "b.yml"


def test_a_dropped_argument_has_no_origin_any_more(write):
    folder = write(a_yml="MODEL: {POOL: {NAME: GeM, P: 3.0}}", b_yml="_BASE_: a.yml\nMODEL: {POOL: {NAME: none}}")
    assert ("MODEL", "POOL", "P") not in read_unchecked(folder / "b.yml").origins.written


def test_files_of_one_name_are_told_apart_by_their_folders(write):
    folder = write(
        sysu__mmd_yml="_BASE_: ../methods/mmd.yml\nSEED: 1\n",
        methods__mmd_yml="_BASE_: shared.yml\nSIZE: [32, 32]\n",
        methods__shared_yml="DEVICE: cpu\n",
    )
    origins = read_unchecked(folder / "sysu" / "mmd.yml").origins
    assert [origins.place((key,)) for key in ("SEED", "SIZE", "DEVICE")] == [
        "sysu/mmd.yml",
        "methods/mmd.yml",
        "shared.yml",
    ]


# -- overrides


def test_overrides_follow_the_scalar_rules(write):
    folder = write(a_yml="SOLVER: {NAME: SGD}\n")
    words = ["SOLVER.LR", "1e-3", "SOLVER.NESTEROV", "yes", "DROPS", "[20, 50]", "A.B", "none", "C", "null"]
    config = read_unchecked(folder / "a.yml", words)
    assert config.SOLVER == {"NAME": "SGD", "LR": 0.001, "NESTEROV": "yes"}
    assert (config.DROPS, config.A, config.C) == ([20, 50], {"B": "none"}, None)


def test_overrides_may_be_a_mapping_of_values(write):
    folder = write(a_yml="SEED: 1\n")
    config = read_unchecked(folder / "a.yml", {"SEED": 2, "MODEL.POOL.NAME": "none", "OUTPUT_DIR": "5"})
    assert (config.SEED, config.MODEL.POOL.NAME, config.OUTPUT_DIR) == (2, "none", "5")


def test_a_name_and_its_arguments_in_any_order(write):
    folder = write(a_yml="MODEL: {POOL: {NAME: GeM, P: 3.0}}\n")
    for words in (["MODEL.POOL.NAME", "X", "MODEL.POOL.Q", "1"], ["MODEL.POOL.Q", "1", "MODEL.POOL.NAME", "X"]):
        assert read_unchecked(folder / "a.yml", words).MODEL.POOL == {"NAME": "X", "Q": 1}


def test_of_equal_overrides_the_last_wins(write):
    folder = write(a_yml="SEED: 1\n")
    assert read_unchecked(folder / "a.yml", ["SEED", "2", "SEED", "3"]).SEED == 3


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["SEED=3"], "command line: overrides are KEY VALUE pairs, and 'SEED=3' stands alone (write: SEED 3)"),
        (
            ["SEED", "3", "DEVICE"],
            "command line: overrides are KEY VALUE pairs, and 'DEVICE' stands alone (write: DEVICE VALUE)",
        ),
        (
            ["SOLVER.DROPS", "[1"],
            "command line: SOLVER.DROPS = '[1': not valid YAML: expected ',' or ']', but got '<stream end>'",
        ),
        (["SEED.X", "1"], "command line: SEED.X is not a setting: SEED = 1 holds no keys"),
        (["MODEL..NAME", "1"], "command line: 'MODEL..NAME' is not a key; write it as in MODEL.POOL.NAME"),
        (["_BASE_", "x.yml"], "command line: _BASE_ belongs in a file"),
        (
            ["SOLVER.LR_SCALE.backbone", "1"],
            "command line: SOLVER.LR_SCALE.backbone: this map is given whole, as in SOLVER.LR_SCALE '{backbone: ...}'",
        ),
    ],
)
def test_faults_of_the_command_line(write, words, text):
    folder = write(a_yml="SEED: 1\n")
    assert problems(folder / "a.yml", words) == [text]


# -- faults of files


def test_missing_file_and_nearest(write):
    folder = write(mmd_yml="SEED: 1\n")
    assert problems(folder / "mdm.yml") == [f"{folder / 'mdm.yml'} does not exist; did you mean 'mmd.yml'?"]


def test_missing_base(write):
    folder = write(shared_yml="SEED: 1\n", x_yml="_BASE_: shred.yml\n", y_yml="_BASE_: [no/where.yml, x.yml]\n")
    assert problems(folder / "x.yml") == ["x.yml: _BASE_: shred.yml does not exist; did you mean 'shared.yml'?"]
    assert problems(folder / "y.yml") == [
        "y.yml: _BASE_: no/where.yml does not exist: there is no folder no",
        "x.yml: _BASE_: shred.yml does not exist; did you mean 'shared.yml'?",
    ]


def test_circle(write):
    folder = write(a_yml="_BASE_: b.yml\n", b_yml="_BASE_: [c.yml]\n", c_yml="_BASE_: ./b.yml\n")
    assert problems(folder / "a.yml") == ["c.yml: _BASE_ runs in a circle: b.yml -> c.yml -> b.yml"]


def test_a_file_that_is_its_own_base(write):
    folder = write(a_yml="_BASE_: a.yml\n")
    assert problems(folder / "a.yml") == ["a.yml: _BASE_ runs in a circle: a.yml -> a.yml"]


def test_a_base_met_twice_is_no_circle(write):
    folder = write(
        s_yml="SEED: 4\n", a_yml="_BASE_: s.yml\n", b_yml="_BASE_: s.yml\n", c_yml="_BASE_: [a.yml, b.yml]\n"
    )
    assert read_unchecked(folder / "c.yml").SEED == 4


def test_duplicates_in_several_files_come_together(write):
    folder = write(a_yml="SEED: 1\nSEED: 2\n", b_yml="_BASE_: a.yml\nMODEL:\n  POOL: {P: 1}\n  POOL: {P: 2}\n")
    assert problems(folder / "b.yml") == [
        "b.yml:4: the key 'MODEL.POOL' is written twice (first in line 3)",
        "a.yml:2: the key 'SEED' is written twice (first in line 1)",
    ]
    config, found = read_config(folder / "b.yml")
    assert config.MODEL.POOL.P == 1, "the check can go on with what was read"
    assert len(found) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- 1\n", "x.yml:1: a config is a map of settings, not [1]"),
        ("word\n", "x.yml:1: a config is a map of settings, not 'word'"),
        ("A: [1\n", "x.yml:2: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("_BASE_: {A: 1}\n", "x.yml:1: _BASE_ = {A: 1} is not a file name or a list of file names"),
        ("_BASE_: [3]\n", "x.yml:1: _BASE_ = [3] is not a file name or a list of file names"),
    ],
)
def test_files_that_are_no_configs(write, text, problem):
    assert problems(write(x_yml=text) / "x.yml") == [problem]


def test_a_folder_and_bytes(write):
    folder = write(d__x_yml="SEED: 1\n")
    assert problems(folder / "d") == [f"{folder / 'd'} is a folder (it holds: x.yml)"]
    (folder / "z.yml").write_bytes(b"\xff\xfe\x00")
    assert problems(folder / "z.yml") == ["z.yml: is not text (UTF-8)"]


# -- the tree itself


def test_settings_have_defaults_and_their_types():
    config = make_config({"CLIP_NORM": 5, "SIZE": [128, 64]})
    assert (config.SEED, config.CLIP_NORM, config.SIZE) == (0, 5.0, (128, 64))
    assert config.MODEL.EMBEDDING == ["features_bn"]


def test_frozen_copied_and_pickled(write):
    config = read_unchecked(write(a_yml="MODEL: {POOL: {NAME: GeM}}\n") / "a.yml")
    with pytest.raises(AttributeError):
        config.SEED = 3
    with pytest.raises(AttributeError):
        config.MODEL.POOL.NAME = "X"
    for other in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert other == config
        assert other.origins.place(("MODEL", "POOL")) == "a.yml"
    assert type(config.plain()["MODEL"]) is dict
