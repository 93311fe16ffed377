"""A shipped config with one fault, through the tools: one error that names the place, exit code 2, no data read."""

from __future__ import annotations

import PIL.Image
import pytest
from mutants import KINDS, PARTS, Mutant, copy_configs, mutants

from vireid.core.registries import DATASETS

QUICK, ALL = 42, 300
MAX_LINES = 6  # of an error: a fault that causes others is reported together with a few of them


@pytest.fixture(scope="module")
def copied_configs(tmp_path_factory):
    """Folder of the copied configs; a test that changes a file restores it."""
    return tmp_path_factory.mktemp("mutants") / "configs"


@pytest.fixture(scope="module")
def sources(copied_configs, configs):
    return copy_configs(configs, copied_configs)


@pytest.fixture
def nothing_is_read(monkeypatch, tmp_path):
    """Make every access to a dataset or an image fail, in an empty current directory."""

    def read(*arguments, **more):
        raise AssertionError("the dataset was read")

    for name in DATASETS:
        for method in ("train", "test", "facts", "survey"):
            if hasattr(DATASETS.get(name).target, method):
                monkeypatch.setattr(DATASETS.get(name).target, method, read)
    monkeypatch.setattr(PIL.Image, "open", read)
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")


@pytest.fixture
def check_refusal(copied_configs, tmp_path, capsys, call_tool, nothing_is_read):
    """Call a tool with a mutant and compare its error with what it has to name."""

    def check(mutant: Mutant, tool: str) -> None:
        file, original = mutant.source.file, mutant.source.file.read_text(encoding="utf-8")
        file.write_text(mutant.text, encoding="utf-8")
        try:
            code = call_tool(tool, "--config-file", mutant.source.through)
        finally:
            file.write_text(original, encoding="utf-8")
        printed = capsys.readouterr()
        case = f"{tool}: {mutant.kind} in {file.relative_to(copied_configs)}: {mutant.change}\n{printed.err}"
        assert code == 2, case
        assert printed.out == "", case
        assert printed.err.startswith("error: "), case
        assert printed.err.count("error: ") == 1, case
        assert "Traceback" not in printed.err, case
        assert any(name in printed.err for name in mutant.named), f"{case}expected one of {mutant.named}"
        assert file.name in printed.err, case
        assert printed.err.count("\n") <= MAX_LINES, case
        assert list((tmp_path / "current").iterdir()) == [], case

    return check


@pytest.mark.slow
def test_the_configs_are_valid_before_they_are_changed(sources, call_tool, capsys):
    """Therefore the error of a mutant is caused by its fault."""
    readers = {reader.through for readers in sources.values() for reader in readers}
    assert {call_tool("show_config", "--config-file", reader) for reader in readers} == {0}


def test_mutants_are_a_function_of_the_seed(sources):
    first, again, other = ([m.text for m in mutants(sources, 60, seed)] for seed in (0, 0, 1))
    assert first == again != other


def test_every_file_and_every_kind_is_covered(sources, copied_configs, configs):
    generated = list(mutants(sources, ALL))
    assert {mutant.kind for mutant in generated} == set(KINDS)
    assert {mutant.source.file for mutant in generated} == set(sources)
    shipped = {file.relative_to(configs) for file in configs.rglob("*.yml")}
    mutated = {file.relative_to(copied_configs) for file in sources}
    assert all(file.parts[0] in PARTS for file in shipped - mutated), "a composition is never mutated"


def test_some_mutants(sources, check_refusal):
    for number, mutant in enumerate(mutants(sources, QUICK, seed=1)):
        check_refusal(mutant, ("show_config", "train_net")[number % 2])


@pytest.mark.slow
def test_three_hundred_mutants(sources, check_refusal):
    for number, mutant in enumerate(mutants(sources, ALL)):
        check_refusal(mutant, ("train_net", "show_config")[number % 2])
