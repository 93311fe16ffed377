"""A shipped config with one fault, through the tools: one clear text that names the place, exit code 2, nothing
read."""

from __future__ import annotations

import PIL.Image
import pytest
from mutants import KINDS, PARTS, Mutant, copy_configs, mutants

from vireid.core.registries import DATASETS

QUICK, ALL = 42, 300
MOST = 6  # lines of a complaint: a fault that takes others along is told with those, and not with a flood


@pytest.fixture
def sources(tmp_path, configs):
    return copy_configs(configs, tmp_path / "configs")


@pytest.fixture
def nothing_is_read(monkeypatch, tmp_path):
    """Whoever looks at a data set or at an image fails; nothing may be written where the tool stands either."""

    def read(*arguments, **more):
        raise AssertionError("the data were read")

    for name in DATASETS:
        for method in ("train", "test", "facts", "survey"):
            if hasattr(DATASETS.get(name).target, method):
                monkeypatch.setattr(DATASETS.get(name).target, method, read)
    monkeypatch.setattr(PIL.Image, "open", read)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def refused(tmp_path, capsys, call_tool, nothing_is_read):
    """Read a mutant through a tool and hold what it says against what it has to name."""

    def hold(mutant: Mutant, tool: str) -> None:
        file, whole = mutant.source.file, mutant.source.file.read_text(encoding="utf-8")
        file.write_text(mutant.text, encoding="utf-8")
        try:
            code = call_tool(tool, "--config-file", mutant.source.through)
        finally:
            file.write_text(whole, encoding="utf-8")
        printed = capsys.readouterr()
        what = f"{tool}: {mutant.kind} in {file.relative_to(tmp_path)}: {mutant.change}\n{printed.err}"
        assert code == 2, what
        assert printed.out == "", what
        assert printed.err.startswith("error: "), what
        assert printed.err.count("error: ") == 1, what
        assert "Traceback" not in printed.err, what
        assert any(name in printed.err for name in mutant.named), f"{what}expected one of {mutant.named}"
        assert file.name in printed.err, what
        assert printed.err.count("\n") <= MOST, what
        assert list((tmp_path / "here").iterdir()) == [], what

    return hold


@pytest.mark.slow
def test_the_configs_are_sound_before_anything_is_put_in(sources, call_tool, capsys):
    """What a mutant is refused for is then its fault."""
    readers = {reader.through for readers in sources.values() for reader in readers}
    assert {call_tool("show_config", "--config-file", reader) for reader in readers} == {0}


def test_mutants_are_a_function_of_the_seed(sources):
    first, again, other = ([m.text for m in mutants(sources, 60, seed)] for seed in (0, 0, 1))
    assert first == again != other


def test_every_file_and_every_kind_has_its_turn(sources, configs, tmp_path):
    made = list(mutants(sources, ALL))
    assert {mutant.kind for mutant in made} == set(KINDS)
    assert {mutant.source.file for mutant in made} == set(sources)
    there = {file.relative_to(configs) for file in configs.rglob("*.yml")}
    taken = {file.relative_to(tmp_path / "configs") for file in sources}
    assert all(file.parts[0] in PARTS for file in there - taken), "a composition is never mutated"


def test_some_mutants(sources, refused):
    for number, mutant in enumerate(mutants(sources, QUICK, seed=1)):
        refused(mutant, ("show_config", "train_net")[number % 2])


@pytest.mark.slow
def test_three_hundred_mutants(sources, refused):
    for number, mutant in enumerate(mutants(sources, ALL)):
        refused(mutant, ("train_net", "show_config")[number % 2])
