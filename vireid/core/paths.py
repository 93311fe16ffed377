"""Normalize every path that a user writes: config values, CSV cells, command lines."""

from __future__ import annotations

import os
from pathlib import Path

from vireid.core.errors import UserError


def normalized_path(path: str | Path, base: str | Path | None = None) -> Path:
    """Expand `~`, join to `base` and return an absolute path without `.` and `..`; symbolic links are kept.

    Args:
        path: As the user wrote it.
        base: Folder that a relative path starts from; the current directory if None.

    Raises:
        UserError: If `~name` names a user that does not exist.

    Example:
        >>> normalized_path("b/../c.jpg", "/data").as_posix()
        '/data/c.jpg'
    """
    try:
        expanded = Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path}: the home folder cannot be found ({error}); write the whole path") from error
    start = Path.cwd() if base is None else normalized_path(base)
    return Path(os.path.normpath(start / expanded))
