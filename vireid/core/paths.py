"""Normalize every path that a user writes: config values, CSV cells, command lines."""

from __future__ import annotations

import os
import unicodedata
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


def real_path(path: str | Path, base: str | Path | None = None) -> Path:
    """Like `normalized_path`, with symbolic links resolved: one path for each file, however it is written.

    Where a name does not exist and one that differs only by its Unicode normalization (NFC, NFD) does, that one is
    taken. `..` after a link to a folder means the parent of the folder that it leads to, as everywhere in the system.
    """
    start = Path.cwd() if base is None else normalized_path(base)
    expanded = normalized_path(path) if str(path).startswith("~") else Path(path)
    whole = os.path.realpath(start / expanded)
    if whole.isascii():
        return Path(whole)
    if not os.path.lexists(whole):
        return Path(os.path.realpath(_on_disk(whole)))
    composed = unicodedata.normalize("NFC", whole)  # file systems that compare names by NFC have both names
    same = composed != whole and os.path.exists(composed) and os.path.samefile(composed, whole)
    return Path(composed if same else whole)


def _on_disk(path: str) -> str:
    """The path with each missing name replaced by its twin: the name in that folder that is equal in NFC."""
    found = Path(path).anchor
    for name in Path(path).parts[1:]:
        candidate = os.path.join(found, name)
        if not os.path.lexists(candidate):
            wanted = unicodedata.normalize("NFC", name)
            names = os.listdir(found) if os.path.isdir(found) else []
            twins = [other for other in names if unicodedata.normalize("NFC", other) == wanted]
            if len(twins) != 1:
                return path
            candidate = os.path.join(found, twins[0])
        found = candidate
    return found
