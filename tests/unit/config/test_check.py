import sys

import pytest

from vireid.config.check import problems_of, static_check
from vireid.config.imports import import_modules
from vireid.config.load import make_config
from vireid.config.schema import BY_PATH
from vireid.core.errors import Problem
from vireid.core.types import DatasetInfo

SOLVER = {"NAME": "SGD", "EPOCHS": 2}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current directory; the import path is put back afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_imports_are_looked_for_in_the_current_directory(here):
    (here / "a_module_of_a_test.py").write_text("VALUE = 3\n")
    assert import_modules(make_config({"IMPORTS": ["a_module_of_a_test"]})) == []
    assert sys.modules["a_module_of_a_test"].VALUE == 3


def test_imports_tell_what_the_module_raised(here):
    (here / "wrong_module_of_a_test.py").write_text("import not_there_either\n")
    (here / "second_module_of_a_test.py").write_text("1 / 0\n")
    modules = ["wrong_module_of_a_test", "second_module_of_a_test"]
    problems = import_modules(make_config({"IMPORTS": modules}))
    assert {(problem.place, problem.key) for problem in problems} == {("config", "IMPORTS")}
    assert [problem.text for problem in problems] == [
        ": 'wrong_module_of_a_test' cannot be imported: ModuleNotFoundError: No module named 'not_there_either'",
        ": 'second_module_of_a_test' cannot be imported: ZeroDivisionError: division by zero",
    ]


def test_imports_that_are_no_list_are_reported_once():
    problems = static_check(make_config({"IMPORTS": "a.b"})).problems
    assert [problem.text for problem in problems if problem.key == "IMPORTS"] == ["= 'a.b' is not a list of words"]


def test_numbers_are_those_of_the_data_or_the_placeholder():
    config = make_config({"DATA": {"NAME": "SysuMM01", "ROOT": "nowhere"}})
    assert static_check(config).info.num_ids == 395
    assert static_check(config, DatasetInfo(num_ids=7)).info.num_ids == 7


def test_an_augmentation_without_epochs_is_reported():
    gray = {"NAME": "RandomGrayscale", "START": 7, "STOP": 6}
    static = static_check(make_config({"AUGMENTATION": {"GRAY": gray}}))
    assert [problem.text for problem in static.problems if problem.key == "AUGMENTATION.GRAY.STOP"] == [
        "= 6 is the first epoch without it, but its first epoch is START = 7; set a larger STOP"
    ]
    assert not static.sound("AUGMENTATION")


def test_only_slots_with_problems_are_broken():
    config = make_config({"SOLVER": SOLVER, "SAMPLER": {"NAME": "IdentityModalitySampler"}})
    static = static_check(config)
    assert static.sound("SOLVER", "SIMILARITY", "AUGMENTATION")
    assert not static.sound("SAMPLER")
    assert not static.sound("SOLVER", "MODEL.POOL"), "missing is a problem too"


def test_the_default_of_a_slot():
    similarity = static_check(make_config({})).components.one("SIMILARITY")
    assert similarity.entry.name == BY_PATH[("SIMILARITY",)].default["NAME"]


def test_a_map_whose_entries_are_all_none_counts_as_empty():
    problems = static_check(make_config({"OBJECTIVE": {"ID": {"NAME": "none"}}})).problems
    assert Problem("has no entries; at least one loss is needed", "config", "OBJECTIVE") in problems


def test_unknown_keys_of_sections():
    problems = static_check(make_config({"MODEL": {"POOLS": 1}, "XYZXYZ": 1, "_BAS_": "x"})).problems
    by_key = {problem.key: problem for problem in problems if problem.text == "is not a setting"}
    assert {key: problem.suggestion for key, problem in by_key.items()} == {
        "MODEL.POOLS": "POOL",
        "_BAS_": "_BASE_",
        "XYZXYZ": None,
    }
    assert by_key["XYZXYZ"].note.startswith("(known: DATA, ")


def test_a_size_that_is_a_number_is_reported_and_the_network_is_still_checked():
    backbone = {"NAME": "TwoStreamBackbone", "SHARE_FROM": 77}
    config = make_config({"SIZE": 288, "MODEL": {"BACKBONE": backbone, "POOL": {"NAME": "AveragePool"}}})
    texts = {problem.key: problem.text for problem in problems_of(config)}
    assert texts["SIZE"].startswith("= 288 ")
    assert "MODEL.BACKBONE" in texts
