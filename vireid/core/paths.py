"""Normalize every path that a user writes: config values, CSV cells, command lines."""

from __future__ import annotations

import argparse
import os
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from vireid.core.errors import UserError


@dataclass(frozen=True)
class PathMark:
    """Mark of a text parameter that is a path, as `Annotated[str, PathMark()]`.

    Args:
        content: Whether results depend on what is in the file, so that its digest is recorded with them.
    """

    content: bool = False


PathText = Annotated[str, PathMark()]  # a folder, or a file whose content is recorded otherwise
InputFile = Annotated[str, PathMark(content=True)]  # a file (or folder of few files) that results depend on


def path_mark(annotation: Any) -> PathMark | None:
    """The mark of an annotation that stands for a path; None for every other annotation.

    Example:
        >>> path_mark(InputFile | None), path_mark(str), path_mark(Path)
        (PathMark(content=True), None, PathMark(content=True))
    """
    if annotation is Path:
        return PathMark(content=True)
    if get_origin(annotation) is Annotated:
        return next((mark for mark in annotation.__metadata__ if isinstance(mark, PathMark)), None)
    if get_origin(annotation) in (Union, types.UnionType):
        return next((mark for member in get_args(annotation) if (mark := path_mark(member))), None)
    return None


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


def path_argument(text: str) -> Path:
    """`normalized_path` for `argparse` (`type=path_argument`): its error text becomes that of the command line."""
    try:
        return normalized_path(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
