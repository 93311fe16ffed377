"""Paths that a user writes: expand and normalize them, find them on disk in any Unicode normal form."""

from __future__ import annotations

import argparse
import os
import types
import unicodedata
from collections.abc import Callable, Mapping, Sequence
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


def composed(text: str) -> str:
    """The composed Unicode normal form (NFC), in which names are compared.

    Example:
        >>> composed("cafe\u0301") == "caf\u00e9"
        True
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def names_by_form(folder: Path) -> dict[str, list[str]]:
    """Composed name -> names on disk that have this form; empty if the folder cannot be listed."""
    forms: dict[str, list[str]] = {}
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return forms
    for name in names:
        forms.setdefault(composed(name), []).append(name)
    return forms


def path_on_disk(path: str | Path, names: Callable[[Path], Mapping[str, Sequence[str]]] = names_by_form) -> Path:
    """Return the path as the file system spells it, if it exists in another Unicode normal form only.

    File names may be stored decomposed (NFD: "e" and an accent) while a list or a config has them composed (NFC), or
    the other way round. An exact match is preferred. A path that does not exist in any form, or of which a name exists
    in several other forms, is returned unchanged.

    Args:
        path: Absolute, or relative to the current directory.
        names: Folder -> composed name -> names; a caller with many paths gives one that remembers.
    """
    path = Path(path)
    if str(path).isascii() or os.path.lexists(path):
        return path
    place = Path(path.anchor)
    for part in path.parts[1:] if path.anchor else path.parts:
        if not os.path.lexists(place / part):
            alike = names(place).get(composed(part), ())
            if len(alike) != 1:
                return path
            part = alike[0]
        place /= part
    return place


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
        return Path(os.path.realpath(path_on_disk(whole)))
    nfc = composed(whole)  # file systems that compare names by NFC have both names
    same = nfc != whole and os.path.exists(nfc) and os.path.samefile(nfc, whole)
    return Path(nfc if same else whole)


def path_argument(text: str) -> Path:
    """`normalized_path` for `argparse` (`type=path_argument`): its error text becomes that of the command line."""
    try:
        return normalized_path(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
