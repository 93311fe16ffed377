"""Paths as users write them."""

from pathlib import Path

import pytest

from vireid.core.errors import UserError
from vireid.core.paths import normalized_path, path_on_disk


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
