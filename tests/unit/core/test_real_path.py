from __future__ import annotations

import os
import subprocess
import sys
import unicodedata

import pytest

from vireid.core.errors import UserError
from vireid.core.locks import file_lock
from vireid.core.paths import real_path


def test_one_path_for_each_file(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x.png").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    real = tmp_path.resolve() / "a" / "x.png"
    for path in ("a/x.png", "./a//x.png", "a/b/../x.png", "~/a/x.png", tmp_path / "a" / "x.png"):
        assert real_path(path) == real
    assert real_path("link/../x.png") == real, "the parent of the folder that the link leads to"
    assert real_path("x.png", base="a") == real_path("x.png", base="~/a") == real
    assert real_path("a/missing.png") == real.with_name("missing.png")


def test_missing_names_are_found_in_the_other_unicode_form(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "K\u00fc/\u00e9.png") for form in ("NFC", "NFD"))
    (tmp_path / decomposed).parent.mkdir()
    (tmp_path / decomposed).touch()
    assert os.path.samefile(real_path(tmp_path / composed), tmp_path / decomposed)
    assert real_path(tmp_path / "K\u00fc" / "o\u0308.png").name == "o\u0308.png", "a file that does not exist"


def test_a_lock_is_released_when_its_process_ends(tmp_path):
    text = "import sys; from pathlib import Path; from vireid.core.locks import file_lock\n"
    text += "with file_lock(Path(sys.argv[1]), wait=False): print('held', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", text, str(tmp_path / "lock")]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(UserError, match=rf"it is in use \(process {holder.pid}\)"),
        file_lock(tmp_path / "lock", wait=False, busy="it is in use"),
    ):
        pass
    holder.kill()
    holder.wait()
    with file_lock(tmp_path / "lock", wait=False) as held:
        assert held
