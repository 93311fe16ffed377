"""Atomic writes of files and folders, and content digests."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from vireid.core.errors import UserError

TEMPORARY = ".partial-"  # prefix of unfinished files and folders; removed at the start of a run


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Write a folder atomically: yields a temporary folder that is renamed to `target` if the block succeeds.

    Every file is flushed to the disk before the rename. An existing folder is replaced. After an error nothing is left
    behind.

    Raises:
        UserError: If the folder cannot be written (full disk, no permission).
    """
    aside = target.with_name(f"{TEMPORARY}{target.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()  # with the usual rights, which tempfile.mkdtemp would not give
        yield aside
        for path in aside.iterdir():
            _flush(path)
        _flush(aside)
        old = aside.with_name(f"{aside.name}-old")
        if target.exists():
            os.replace(target, old)
        os.replace(aside, target)
        _flush(target.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise UserError(_unwritable(target, error)) from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


@contextmanager
def replaced_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file atomically: yields a temporary file that is flushed and renamed to `path` if the block succeeds.

    Raises:
        UserError: If the file cannot be written.
    """
    aside = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise UserError(_unwritable(path, error)) from error
    finally:
        with suppress(OSError):
            aside.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a small text file atomically."""
    with replaced_file(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def remove_folder(folder: Path) -> None:
    """Remove a folder; an interruption leaves no incomplete folder under its name."""
    doomed = folder.with_name(f"{TEMPORARY}{folder.name}-{os.getpid()}-old")
    os.replace(folder, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove unfinished files and folders of interrupted runs."""
    for path in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def content_digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of the files in a folder; "" if the path does not exist.

    Subfolders are ignored.
    """
    if path.is_dir():
        files = {child.name: digest(child) for child in sorted(path.iterdir()) if child.is_file()}
        return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return digest(path) if path.is_file() else ""


def _unwritable(path: Path, error: OSError) -> str:
    return f"{path}: cannot be written ({error.strerror or error}); the previous version is unchanged"


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
