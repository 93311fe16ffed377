import sys

import pytest

from vireid.config.load import make_config
from vireid.config.plan import import_modules, make_plan
from vireid.config.slots import BY_PATH
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
    assert import_modules(make_config({"IMPORTS": modules})) == [
        "config: IMPORTS: 'wrong_module_of_a_test' cannot be imported:"
        " ModuleNotFoundError: No module named 'not_there_either'",
        "config: IMPORTS: 'second_module_of_a_test' cannot be imported: ZeroDivisionError: division by zero",
    ]


def test_imports_that_are_no_list_are_reported_once():
    problems = make_plan(make_config({"IMPORTS": "a.b"})).problems
    assert [problem for problem in problems if "IMPORTS" in problem] == [
        "config: IMPORTS = 'a.b' is not a list of words"
    ]


def test_facts_are_those_of_the_data_or_the_placeholder():
    config = make_config({"DATA": {"NAME": "SysuMM01", "ROOT": "nowhere"}})
    assert make_plan(config).facts.num_ids == 395
    assert make_plan(config, DatasetInfo(num_ids=7)).facts.num_ids == 7


def test_only_slots_with_problems_are_broken():
    config = make_config({"SOLVER": SOLVER, "SAMPLER": {"NAME": "IdentityModalitySampler"}})
    plan = make_plan(config)
    assert plan.sound("SOLVER", "SCORER", "AUGMENTATION")
    assert not plan.sound("SAMPLER")
    assert not plan.sound("SOLVER", "MODEL.POOL"), "missing is a problem too"


def test_the_default_of_a_slot():
    assert make_plan(make_config({})).part("SCORER").entry.name == BY_PATH[("SCORER",)].default["NAME"]


def test_a_map_whose_entries_are_all_none_counts_as_empty():
    problems = make_plan(make_config({"OBJECTIVE": {"ID": {"NAME": "none"}}})).problems
    assert "config: OBJECTIVE has no entries; at least one loss is needed" in problems


def test_unknown_keys_of_sections():
    problems = make_plan(make_config({"MODEL": {"POOLS": 1}, "XYZXYZ": 1, "_BAS_": "x"})).problems
    assert "config: MODEL.POOLS is not a setting; did you mean 'POOL'?" in problems
    assert "config: _BAS_ is not a setting; did you mean '_BASE_'?" in problems
    assert any(problem.startswith("config: XYZXYZ is not a setting (known: DATA, ") for problem in problems)
