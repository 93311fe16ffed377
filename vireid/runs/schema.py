"""Schema version of the files of a run folder, and the reads and writes of `.npz` files that carry it.

Version 1 (before the key existed) has no curves of single trials in `metrics.json`. Every older version is read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vireid.core.errors import DataError
from vireid.core.io import replaced_file
from vireid.runs.folder import command_hint

SCHEMA = 2
KEY = "schema"  # of metrics.json and of each .npz file


def require_readable(version: Any, path: Path) -> None:
    """Check the schema version of a file; files of version 1 do not state it.

    Raises:
        DataError: If the file was written by a newer version of vireid, or its schema is not a number.
    """
    version = 1 if version is None else version
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise DataError(f"{path}: {KEY} must be an integer of at least 1, got {version!r}")
    if version > SCHEMA:
        raise DataError(
            f"{path}: written with schema {version} by a newer version of vireid, this version reads schemas up to"
            f" {SCHEMA}; upgrade vireid"
        )


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], *, compress: bool = True) -> None:
    """Write arrays and the schema version as `.npz`, atomically."""
    save = np.savez_compressed if compress else np.savez
    with replaced_file(path) as file:
        save(file, **{KEY: np.array(SCHEMA)}, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Path, *, flags: str = "--eval-only") -> dict[str, np.ndarray]:
    """Read an `.npz` file without unpickling; the schema version is checked and left out.

    Args:
        path: The file.
        flags: Options of the command that writes the file again, for the error message.

    Raises:
        DataError: If the file is damaged, or its schema is newer than `SCHEMA`.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        version = arrays.pop(KEY).item() if KEY in arrays else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read ({reason(error)}).\n    {command_hint(path.parent, flags)}") from error
    require_readable(version, path)
    return arrays


def damaged(path: Path, content: str, error: Exception) -> DataError:
    """Return the error of a readable file with wrong content.

    Args:
        path: The file.
        content: What it should hold, such as "the ranked lists of a run".
        error: The cause; the text of a KeyError is the name of what is missing.
    """
    return DataError(f"{path}: not {content} ({reason(error)}).\n    {command_hint(path.parent, '--eval-only')}")


def reason(error: Exception) -> str:
    """Describe an exception in a few words.

    >>> reason(KeyError("cmc")), reason(EOFError())
    ('cmc is missing', 'EOFError')
    """
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
