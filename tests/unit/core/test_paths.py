"""Paths as users write them."""

from pathlib import Path

import pytest

from vireid.core.errors import UserError
from vireid.core.paths import normalized_path


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
