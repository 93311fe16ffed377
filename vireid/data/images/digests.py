"""Content digests of image files, stored in one list in the cache folder: unchanged files are not read again."""

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

from vireid.core.errors import Finding, UserError
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
        expected = (self.size, self.modified_ns, self.changed_ns)
        return expected == (status.st_size, status.st_mtime_ns, status.st_ctime_ns)


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


def file_states(paths: Sequence[str], folder: Path, workers: int = 0) -> tuple[list[FileState], list[Finding]]:
    """Return sizes, times and content digests of files: from the list in `folder`, or by reading the file.

    The list is updated if files were read. If that is not possible, a warning is logged.

    Args:
        paths: Absolute paths.
        folder: Folder of the list; it need not exist.
        workers: Reading threads; 0: one for each core.

    Returns:
        A state for each path, and a finding for each file that cannot be read (then there are no states).
    """
    known, real = _load(folder / NAME), RealPaths()
    names = [real(path) for path in paths]
    states: dict[str, FileState] = {}
    unread: list[str] = []
    findings: list[Finding] = []
    for path, name in zip(paths, names):
        if name in states:
            continue
        try:
            status = os.stat(name)
        except OSError as error:
            findings.append(unusable(path, error.strerror or str(error)))
            continue
        entry = known.get(name)
        if entry is not None and entry.trusted(status):
            states[name] = entry.state
        else:
            unread.append(name)
    if findings:
        return [], findings
    fresh: dict[str, _Entry] = {}
    unread = list(dict.fromkeys(unread))
    with (
        ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool,
        progress_bar(len(unread), "reading images") as done,
    ):
        for start in range(0, len(unread), _CHUNK):
            chunk = unread[start : start + _CHUNK]
            for name, entry in zip(chunk, pool.map(_read, chunk)):
                if isinstance(entry, str):
                    findings.append(unusable(paths[names.index(name)], entry))
                else:
                    fresh[name], states[name] = entry, entry.state
            done(len(chunk))
    if fresh:
        _update(folder, fresh)
    return ([], findings) if findings else ([states[name] for name in names], [])


def unusable(path: str | Path, text: str) -> Finding:
    """A fault of one image file."""
    return Finding(text, place=str(path), kind="unusable images", path=Path(path))


def changed_unnoticed(folder: Path, digests: Mapping[str, str]) -> list[str]:
    """Return the files whose content differs from the list although size and times are equal; correct the list.

    Args:
        folder: Folder of the list.
        digests: Path -> content digest of the file as it was just read.
    """
    known, real, changed, fresh = _load(folder / NAME), RealPaths(), [], {}
    now = time.time_ns()
    for path, digest in digests.items():
        name = real(path)
        entry = known.get(name)
        if entry is None or entry.state.digest == digest:
            continue
        with contextlib.suppress(OSError):
            status = os.stat(name)
            if entry.trusted(status):
                changed.append(path)
                fresh[name] = _Entry(FileState(status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest), now)
    if fresh:
        _update(folder, fresh)
    return changed


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
    """Hold a lock that the system releases when the process ends; False if the system has no such lock."""
    with open(file, "a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # some network disks have no locks: each process writes a file of its own
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
    """Read the list; empty if it does not exist, or with a warning if it is damaged."""
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
