"""Locks between processes: one holder at a time, released when the holder ends in any way."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading

import pytest

from vireid.core import locks
from vireid.core.errors import UserError
from vireid.core.locks import file_lock

HOLD = """
import sys
from pathlib import Path
from vireid.core.locks import file_lock
with file_lock(Path(sys.argv[1]), wait=True):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_held_lock_is_refused_with_the_number_of_its_process(tmp_path):
    path = tmp_path / "lock"
    with file_lock(path, wait=False) as writable:
        assert writable
        with (
            pytest.raises(UserError, match=rf"^the folder is in use \(process {os.getpid()}\)$"),
            file_lock(path, wait=False, busy="the folder is in use"),
        ):
            pass
    with file_lock(path, wait=False) as writable:
        assert writable, "released at the end of the block"


def test_a_waiting_lock_is_taken_when_the_first_is_released(tmp_path):
    order, waiting = [], threading.Event()

    def second():
        waiting.set()
        with file_lock(tmp_path / "lock", wait=True):
            order.append("second")

    thread = threading.Thread(target=second)
    with file_lock(tmp_path / "lock", wait=True):
        thread.start()
        waiting.wait(30)
        thread.join(0.05)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]


def test_a_killed_process_releases_its_lock(tmp_path):
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "locked\n"
        with (
            pytest.raises(UserError, match=rf"in use \(process {holder.pid}\)"),
            file_lock(path, wait=False, busy="in use"),
        ):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with file_lock(path, wait=False) as writable:
        assert writable


@pytest.mark.parametrize("code", sorted(locks.READ_ONLY))
def test_a_read_only_folder_needs_no_lock(tmp_path, monkeypatch, code):
    def refuse(*arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(locks.os, "open", refuse)
    with file_lock(tmp_path / "lock", wait=True) as writable:
        assert not writable


def test_another_error_names_the_file_and_the_reason(tmp_path):
    path = tmp_path / "missing" / "lock"
    expected = f"{path}: cannot be locked ({os.strerror(errno.ENOENT)})"
    with pytest.raises(UserError) as caught, file_lock(path, wait=True):
        pass
    assert str(caught.value) == expected
