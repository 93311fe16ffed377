"""Files that are either whole or not there."""

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

TEMPORARY = ".partial-"  # prefix of everything unfinished; swept away at the start of a run


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """A new folder to write into; it takes the name `target` only after the block ended well.

    Every file is flushed to the disk before the rename. A folder already there is replaced; after an error nothing
    is left behind. OSError (a full disk, no permission) becomes a UserError that names the folder.
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
    """A file to write into; it takes the name `path`, flushed to the disk, only after the block ended well."""
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
    """Replace a small file in one step."""
    with replaced_file(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one step."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def remove_folder(folder: Path) -> None:
    """Remove a folder so that a kill in between leaves no half folder under its own name."""
    doomed = folder.with_name(f"{TEMPORARY}{folder.name}-{os.getpid()}-old")
    os.replace(folder, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what an interrupted run left unfinished."""
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
    """SHA-256 of a file, or of the names and contents of the files in a folder; "" where there is neither.

    Folders inside the folder do not count.
    """
    if path.is_dir():
        files = {child.name: digest(child) for child in sorted(path.iterdir()) if child.is_file()}
        return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return digest(path) if path.is_file() else ""


def _unwritable(path: Path, error: OSError) -> str:
    return f"{path}: cannot be written ({error.strerror or error}); what was there before is whole"


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
