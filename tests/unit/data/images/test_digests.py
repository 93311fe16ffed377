"""The list of content digests: what is read again, damage, several processes, and files changed unnoticed."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from vireid.data.images import digests
from vireid.data.images.digests import NAME, changed_unnoticed, content_digest, file_states

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Three files, written an hour ago as far as the file system tells."""
    paths = [tmp_path / "data" / f"{n}.jpg" for n in range(3)]
    paths[0].parent.mkdir()
    for n, path in enumerate(paths):
        path.write_bytes(bytes([n]) * 100)
    return [str(path) for path in paths]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read; the clock is an hour ahead, so that nothing counts as just written."""
    names, original, now = [], digests._read, time.time_ns

    def recorded(name: str):
        names.append(Path(name).name)
        return original(name)

    monkeypatch.setattr(digests, "_read", recorded)
    monkeypatch.setattr(digests.time, "time_ns", lambda: now() + 3600 * 10**9)
    return names


def test_unchanged_files_are_read_once(files: list[str], tmp_path: Path, read: list[str]) -> None:
    states, faults = file_states(files, tmp_path / "cache")
    assert (faults, sorted(read)) == ([], ["0.jpg", "1.jpg", "2.jpg"])
    assert [state.digest for state in states] == [content_digest(bytes([n]) * 100) for n in range(3)]
    read.clear()
    assert file_states(files[::-1], tmp_path / "cache")[0] == states[::-1]
    assert read == []


@pytest.mark.parametrize("change", ["size", "time", "content with its time set back", "another file renamed over it"])
def test_changed_files_are_read_again(files: list[str], tmp_path: Path, read: list[str], change: str) -> None:
    before, _ = file_states(files, tmp_path / "cache")
    read.clear()
    status = os.stat(files[1])
    if change == "size":
        Path(files[1]).write_bytes(b"other")
    elif change == "time":
        os.utime(files[1], ns=(1, 1))
    else:
        target = tmp_path / "other" if change.startswith("another") else Path(files[1])
        target.write_bytes(b"x" * 100)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        target.rename(files[1])
        assert os.stat(files[1]).st_mtime_ns == status.st_mtime_ns
    after, _ = file_states(files, tmp_path / "cache")
    assert read == ["1.jpg"]
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1] != before[1]


def test_a_file_that_was_just_written_is_not_trusted(files: list[str], tmp_path: Path, monkeypatch) -> None:
    """It could be written again within the resolution of its times."""
    count, original = [], digests._read
    monkeypatch.setattr(digests, "_read", lambda name: count.append(name) or original(name))
    for _ in range(2):
        file_states(files, tmp_path / "cache")
    assert len(count) == 6


def test_links_to_one_file_are_one_entry(files: list[str], tmp_path: Path, read: list[str]) -> None:
    (tmp_path / "folder").symlink_to(tmp_path / "data")
    (tmp_path / "1.jpg").symlink_to(files[1])
    states, _ = file_states([files[1], str(tmp_path / "folder" / "1.jpg"), str(tmp_path / "1.jpg")], tmp_path / "cache")
    assert len(set(states)) == 1
    assert read == ["1.jpg"]


def test_missing_files_are_all_named_and_nothing_is_written(files: list[str], tmp_path: Path) -> None:
    lost = [str(tmp_path / "a.jpg"), files[0], str(tmp_path / "b.jpg")]
    states, faults = file_states(lost, tmp_path / "cache")
    assert states == []
    assert [(str(fault.path), fault.text) for fault in faults] == [
        (lost[0], "No such file or directory"),
        (lost[2], "No such file or directory"),
    ]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "content", [b"", b"vireid digests 2 x\n{}", b"\xff\xfe", b"cut", b'vireid digests 1 0\n{"a": [1]}\n']
)
def test_a_damaged_list_is_made_again_with_a_warning(
    files: list[str], tmp_path: Path, read: list[str], content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    before, _ = file_states(files, tmp_path / "cache")
    (tmp_path / "cache" / NAME).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert file_states(files, tmp_path / "cache") == (before, [])
    (record,) = caplog.records
    assert record.getMessage().startswith(f"the list of content digests {tmp_path / 'cache' / NAME} is damaged (")
    read.clear()
    assert file_states(files, tmp_path / "cache") == (before, [])
    assert read == []


def test_a_list_that_cannot_be_written_is_a_warning(
    files: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file")
    with caplog.at_level(logging.WARNING):
        states, faults = file_states(files, tmp_path / "cache")
    assert (len(states), faults) == (3, [])
    assert "cannot be written (" in caplog.records[-1].getMessage()


def test_the_oldest_entries_are_dropped(files: list[str], tmp_path: Path, read: list[str], monkeypatch) -> None:
    monkeypatch.setattr(digests, "MOST", 2)
    for file in files:
        file_states([file], tmp_path / "cache")
    assert list(map(os.path.basename, digests._parsed(tmp_path / "cache" / NAME))) == ["2.jpg", "1.jpg"]


def _states(paths: list[str], folder: Path) -> None:
    file_states(paths, folder)


def test_several_processes_add_to_one_list(tmp_path: Path) -> None:
    parts = []
    for part in range(4):
        (tmp_path / str(part)).mkdir()
        parts.append([str(tmp_path / str(part) / f"{n}.jpg") for n in range(5)])
        for path in parts[-1]:
            Path(path).write_text(path)
    processes = [FORK.Process(target=_states, args=(part, tmp_path / "cache")) for part in parts]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    assert set(digests._parsed(tmp_path / "cache" / NAME)) == {path for part in parts for path in part}
    assert sorted(file.name for file in (tmp_path / "cache").iterdir()) == [NAME, "digests.lock"]


def test_files_that_changed_unnoticed_are_found_and_corrected(files: list[str], tmp_path: Path, read) -> None:
    """A file whose times say that nothing happened, as after a repair of the disk."""
    cache = tmp_path / "cache"
    file_states(files, cache)
    seen = {path: content_digest(Path(path).read_bytes()) for path in files}
    assert changed_unnoticed(cache, seen) == []
    seen[files[2]] = content_digest(b"other pixels")
    assert changed_unnoticed(cache, seen) == [files[2]]
    assert changed_unnoticed(cache, seen) == []
    assert file_states(files, cache)[0][2].digest == content_digest(b"other pixels")
    assert changed_unnoticed(tmp_path / "nowhere", seen) == []
