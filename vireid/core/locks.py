"""Locks between processes: a file that one process holds at a time; released by the system when the process ends."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vireid.core.errors import UserError

READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def file_lock(path: Path, *, wait: bool, busy: str = "") -> Iterator[bool]:
    """Hold an exclusive lock on a file, which is created if it does not exist.

    Args:
        path: The lock file; its folder exists.
        wait: Wait until another process releases the lock, or raise.
        busy: Text of the error if another process holds the lock; the process number is appended.

    Yields:
        False if the file cannot be written, so that no lock is held: nothing else in its folder can be written either.

    Raises:
        UserError: If another process holds the lock and `wait` is false.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno in READ_ONLY:
            yield False
            return
        raise UserError(f"{path}: cannot be locked ({error.strerror or error})") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            holder = os.read(handle, 32).decode("ascii", "replace").strip()
            raise UserError(f"{busy} (process {holder or 'unknown'})") from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode("ascii"), 0)
        yield True
    finally:
        os.close(handle)
