"""Content digests of image files, kept in one list beside the image cache: unchanged files are not read again."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vireid.core.errors import UserError
from vireid.core.io import TEMPORARY, replaced_file
from vireid.core.progress import progress_bar

NAME = "digests.list"
MOST = 1_000_000  # entries that are kept; the oldest ones are dropped first
_HEAD = "vireid digests 1"  # format of the list
_SETTLED_NS = 2_000_000_000  # an entry is trusted if the file was this much older when it was read
_TRIES = 3
_CHUNK = 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as it was when it was read. `changed_ns` is the time of the last change of the inode (st_ctime)."""

    size: int
    modified_ns: int
    changed_ns: int
    digest: str

    def matches(self, status: os.stat_result) -> bool:
        """Whether size and times are those of `status`."""
        there = (self.size, self.modified_ns, self.changed_ns)
        return there == (status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class _Entry:
    state: FileState
    read_ns: int  # when the file was read

    def trusted(self, status: os.stat_result) -> bool:
        """Whether the file is unchanged. One that was written just before it was read may have been written again."""
        newest = max(status.st_mtime_ns, status.st_ctime_ns)
        return self.state.matches(status) and newest + _SETTLED_NS <= self.read_ns


def content_digest(content: bytes) -> str:
    """BLAKE2b of 16 bytes, hexadecimal."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def file_states(paths: Sequence[str], folder: Path, workers: int = 0) -> tuple[list[FileState], list[str]]:
    """Sizes, times and content digests of files: those of the list in `folder`, the others are read.

    The list is written again if files were read. If that is not possible, a warning says so.

    Args:
        paths: Absolute paths.
        folder: Folder of the list; it need not exist.
        workers: Reading threads; 0: one for each core.

    Returns:
        A state for each path, and a text for each file that cannot be read (then there are no states).
    """
    known, real = _load(folder / NAME), RealPaths()
    names = [real(path) for path in paths]
    states: dict[str, FileState] = {}
    unread: list[str] = []
    faults: list[str] = []
    for path, name in zip(paths, names):
        if name in states:
            continue
        try:
            status = os.stat(name)
        except OSError as error:
            faults.append(f"{path}: {error.strerror}")
            continue
        entry = known.get(name)
        if entry is not None and entry.trusted(status):
            states[name] = entry.state
        else:
            unread.append(name)
    if faults:
        return [], faults
    fresh: dict[str, _Entry] = {}
    unread = list(dict.fromkeys(unread))
    with (
        ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool,
        progress_bar(len(unread), "reading images") as done,
    ):
        for start in range(0, len(unread), _CHUNK):
            chunk = unread[start : start + _CHUNK]
            for name, found in zip(chunk, pool.map(_read, chunk)):
                if isinstance(found, str):
                    faults.append(f"{paths[names.index(name)]}: {found}")
                else:
                    fresh[name], states[name] = found, found.state
            done(len(chunk))
    if fresh:
        _update(folder, fresh)
    return ([], faults) if faults else ([states[name] for name in names], [])


def changed_unnoticed(folder: Path, digests: Mapping[str, str]) -> list[str]:
    """Files whose content is not that of the list although size and times are; the list is corrected.

    Args:
        folder: Folder of the list.
        digests: Path -> content digest of the file as it was just read.
    """
    known, real, found, fresh = _load(folder / NAME), RealPaths(), [], {}
    now = time.time_ns()
    for path, digest in digests.items():
        name = real(path)
        entry = known.get(name)
        if entry is None or entry.state.digest == digest:
            continue
        with contextlib.suppress(OSError):
            status = os.stat(name)
            if entry.trusted(status):
                found.append(path)
                fresh[name] = _Entry(FileState(status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest), now)
    if fresh:
        _update(folder, fresh)
    return found


class RealPaths:
    """Paths without symbolic links; each folder is resolved once."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        whole = os.path.join(self._folders[folder], name)
        return os.path.realpath(whole) if os.path.islink(whole) else whole


@contextlib.contextmanager
def locked(file: Path) -> Iterator[bool]:
    """Hold a lock that the system releases when the process ends in any way; False where there is no such lock."""
    with open(file, "a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # some network disks have no locks: each process works on its own copy
            yield False
        else:
            yield True


def _read(name: str) -> _Entry | str:
    """The entry of a file, or why it cannot be read."""
    for _ in range(_TRIES):
        now = time.time_ns()
        try:
            with open(name, "rb") as handle:
                status = os.fstat(handle.fileno())
                digest = content_digest(handle.read())
                after = os.fstat(handle.fileno())
        except OSError as error:
            return error.strerror or str(error)
        state = FileState(status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest)
        if state.matches(after):
            return _Entry(state, now)
    return "the file changes while it is read"


def _load(file: Path) -> dict[str, _Entry]:
    """The list; empty where there is none, and with a warning where it is damaged."""
    try:
        return _parsed(file)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        logger.warning("the list of content digests %s is damaged (%s): the images are read again", file, _why(error))
        return {}


def _parsed(file: Path) -> dict[str, _Entry]:
    try:
        head, _, body = file.read_text(encoding="ascii").partition("\n")
    except FileNotFoundError:
        return {}
    kind, _, checksum = head.rpartition(" ")
    if kind != _HEAD:
        raise ValueError(f"its first line is {head[:40]!r}")
    if hashlib.sha256(body.encode("ascii")).hexdigest() != checksum:
        raise ValueError("its checksum differs")
    return {name: _Entry(FileState(*state), read) for name, (*state, read) in json.loads(body).items()}


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]


def _update(folder: Path, fresh: Mapping[str, _Entry]) -> None:
    """Add entries to the list as it is now; other processes may have added theirs in between."""
    file = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(file.with_suffix(".lock")) as alone:
            if alone:
                _remove(folder.glob(f"{TEMPORARY}{NAME}-*"))  # of processes that were killed
            entries = dict(fresh)
            with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):  # reported when it was read
                entries = {**_parsed(file), **fresh}
            if len(entries) > MOST:
                newest = sorted(entries, key=lambda name: entries[name].read_ns, reverse=True)[:MOST]
                entries = {name: entries[name] for name in newest}
            body = json.dumps({name: _row(entry) for name, entry in entries.items()}, separators=(",", ":")) + "\n"
            checksum = hashlib.sha256(body.encode("ascii")).hexdigest()
            with replaced_file(file) as handle:
                handle.write(f"{_HEAD} {checksum}\n{body}".encode("ascii"))
    except (OSError, UserError) as error:
        logger.warning(
            "the list of content digests %s cannot be written (%s): every run reads the images again", file, _why(error)
        )


def _row(entry: _Entry) -> list[Any]:
    state = entry.state
    return [state.size, state.modified_ns, state.changed_ns, state.digest, entry.read_ns]


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()
