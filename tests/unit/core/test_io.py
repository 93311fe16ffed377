import errno

import pytest

from vireid.core import io as files
from vireid.core.errors import UserError


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "out"

    def fail():
        with files.replaced_folder(target) as aside:
            (aside / "a").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
    with files.replaced_folder(target) as aside:
        (aside / "a").write_text("whole")
        assert not target.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_leaves_the_old_folder_and_names_the_place(tmp_path):
    target = tmp_path / "out"
    with files.replaced_folder(target) as aside:
        (aside / "a").write_text("old")

    def fail():
        with files.replaced_folder(target) as aside:
            (aside / "a").write_text("new")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError) as error:
        fail()
    assert (
        str(error.value) == f"{target}: cannot be written (No space left on device); the previous version is unchanged"
    )
    assert (target / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_replacing_a_folder_leaves_only_the_new_one(tmp_path):
    for text in ("old", "new"):
        with files.replaced_folder(tmp_path / "out") as aside:
            (aside / "a").write_text(text)
    assert (tmp_path / "out" / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_text_is_replaced_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    files.write_text(path, "old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(UserError, match=r"metrics\.json: cannot be written"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


def test_sweeping_removes_only_what_is_unfinished(tmp_path):
    (tmp_path / f"{files.TEMPORARY}x").mkdir()
    (tmp_path / f"{files.TEMPORARY}y").write_text("")
    (tmp_path / "epoch_0001").mkdir()
    files.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_0001"]
