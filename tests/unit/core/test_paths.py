"""Paths as users write them."""

import argparse
from pathlib import Path

import pytest

from vireid.core.errors import UserError
from vireid.core.paths import InputFile, PathText, normalized_path, path_argument, path_mark, path_on_disk


def test_home_dots_and_relative_paths(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert normalized_path("~/a") == tmp_path / "home" / "a"
    assert normalized_path("./x/../y") == tmp_path / "y"
    assert normalized_path("y", base="x") == tmp_path / "x" / "y"
    assert normalized_path("/abs", base="x") == Path("/abs")
    assert normalized_path("~/a", base="/data") == tmp_path / "home" / "a"


def test_links_are_kept(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    assert normalized_path(tmp_path / "link" / "a") == tmp_path / "link" / "a"


def test_an_unknown_home_is_one_clear_error():
    with pytest.raises(UserError, match="home folder"):
        normalized_path("~nobody-of-this-name/a")


def test_a_path_is_found_in_another_unicode_form(monkeypatch, tmp_path):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    (tmp_path / decomposed / "b").mkdir(parents=True)
    (tmp_path / decomposed / "b" / f"{composed}.jpg").touch()
    wanted = tmp_path / composed / "b" / f"{decomposed}.jpg"
    assert path_on_disk(wanted) == tmp_path / decomposed / "b" / f"{composed}.jpg"
    monkeypatch.chdir(tmp_path)
    assert path_on_disk(f"{composed}/b") == Path(decomposed, "b")


def test_an_exact_name_wins_and_what_does_not_exist_or_is_ambiguous_stays(tmp_path):
    forms = ["\u1e69", "s\u0323\u0307", "s\u0307\u0323"]  # one letter with two dots
    (tmp_path / forms[1]).touch()
    (tmp_path / forms[2]).touch()
    assert path_on_disk(tmp_path / forms[2]) == tmp_path / forms[2]
    assert path_on_disk(tmp_path / forms[0]) == tmp_path / forms[0]
    assert path_on_disk(tmp_path / "caf\u00e9" / "x") == tmp_path / "caf\u00e9" / "x"


def test_annotations_that_stand_for_paths():
    assert path_mark(Path).content
    assert path_mark(InputFile | None).content
    assert not path_mark(PathText).content
    assert path_mark(str | None) is None
    assert path_mark(int) is None


def test_paths_of_a_command_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=path_argument)
    assert parser.parse_args(["--out", "~/a/../b"]).out == tmp_path / "b"
    with pytest.raises(SystemExit):
        parser.parse_args(["--out", "~nobody-of-this-name/a"])
    assert "argument --out: ~nobody-of-this-name/a: the home folder cannot be found" in capsys.readouterr().err


@pytest.mark.parametrize("tool", sorted(path.stem for path in (Path(__file__).parents[3] / "tools").glob("*.py")))
def test_every_path_of_every_tool_is_normalized(tool):
    """`type=Path` would keep `~` as the name of a folder."""
    text = (Path(__file__).parents[3] / "tools" / f"{tool}.py").read_text(encoding="utf-8")
    assert "type=Path" not in text
