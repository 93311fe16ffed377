"""Folders of a dataset: their images, their layout, and the image files that a list names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vireid.core.errors import DataError, closest, nearest
from vireid.core.paths import composed, normalized_path, path_on_disk
from vireid.core.text import listed
from vireid.data.findings import Findings
from vireid.data.images.image_files import IMAGE_SUFFIXES, LeftOut, is_folder, is_image_name, reason_left_out

_MOST_SUGGESTIONS = 10  # of missing files; each compares a name with all names of a folder


def folder_of(path: str | Path) -> Path:
    """Return a path of a config as an absolute path without `~`, in the Unicode form that it has on disk."""
    return path_on_disk(normalized_path(path))


def relative_path(path: str, root: Path) -> str:
    """Remove `~` and `..` from a path; below the root it becomes relative to it, so that a file has one path."""
    if not path.startswith("~/") and ".." not in Path(path).parts:
        return path
    whole = normalized_path(path, root)
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else str(whole)


def subfolders(folder: Path, left_out: LeftOut | None = None) -> list[str]:
    """List the names of the folders in a folder, sorted, without hidden ones; empty if the folder does not exist.

    Links to folders are followed. Files and hidden folders are added to `left_out`.
    """
    if not folder.is_dir():
        return []
    names = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not is_folder(entry):
                reason = "image outside of an identity folder" if is_image_name(entry.name) else None
                _add(left_out, folder / entry.name, reason or reason_left_out(entry.name))
            elif entry.name.startswith("."):
                _add(left_out, folder / entry.name, "hidden folder")
            else:
                names.append(entry.name)
    return names


def images_in(folder: Path, left_out: LeftOut | None = None) -> list[str]:
    """List the names of the images in a folder, sorted; links are followed.

    Hidden files, files with another suffix than that of an image, and folders are added to `left_out`.
    """
    names = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if is_folder(entry):
                _add(left_out, folder / entry.name, "folder inside an identity folder")
            elif not is_image_name(entry.name):
                _add(left_out, folder / entry.name, reason_left_out(entry.name))
            else:
                names.append(entry.name)
    return names


def _add(left_out: LeftOut | None, path: Path, reason: str) -> None:
    if left_out is not None:
        left_out.add(path, reason)


def siblings(path: Path) -> list[str]:
    """List all names in the folder of a path; empty if the folder does not exist."""
    return [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []


def require_root(root: Path, names: Sequence[str], contents: str, *, layout: str, origin: str) -> None:
    """Raise DataError if the root of a dataset is not a folder.

    Args:
        root: The folder.
        names: Names next to it, for a suggestion.
        contents: What the folder holds, in words.
        layout: The `--layout` of `vireid synth` for this dataset.
        origin: A sentence about where the dataset comes from.
    """
    if root.is_dir():
        return
    state = "is a file, not a folder" if root.exists() else "does not exist"
    raise DataError(
        f"the data folder {root} {state}{nearest(root.name, names)}"
        f"\n  DATA.ROOT is the folder that holds {contents}."
        f"\n  {origin}"
        f"\n  tools/make_synthetic.py --layout {layout} --out DIR writes a synthetic dataset of the same form"
    )


def check_root(root: Path, needed: Sequence[str], *, title: str, layout: str, origin: str) -> None:
    """Raise DataError if the root does not have the layout at all, so that a list of faults would not help.

    Args:
        root: Folder of the dataset.
        needed: Folders that it holds; one of them is enough to recognize the layout.
        title: Name of the dataset.
        layout: The `--layout` of `vireid synth` for this dataset.
        origin: A sentence about where the dataset comes from.
    """
    contents = f"{', '.join(needed[:-1])} and {needed[-1]}"
    require_root(root, subfolders(root.parent), contents, layout=layout, origin=origin)
    present = subfolders(root)
    if set(needed) & set(present):
        return
    for child in present:  # the usual mistake: one folder too high
        if all((root / child / name).is_dir() for name in needed):
            raise DataError(
                f"{root} holds no {contents}, but its folder {child!r} does: set DATA.ROOT to {root / child}"
            )
    if all((root.parent / name).is_dir() for name in needed):  # one too low
        raise DataError(f"{root} is a part of {title}: set DATA.ROOT to {root.parent}")
    shown = f" (it holds {listed(present)})" if present else " (it holds no folders)"
    hint = next((text for name in present if (text := nearest(name, needed))), "")
    raise DataError(f"{root} does not have the layout of {title}: it holds no {contents}{shown}{hint}")


def check_folders(root: Path, needed: Sequence[str], findings: Findings) -> None:
    """Add a fault for each folder that is missing."""
    present = subfolders(root)
    for name in needed:
        if name not in present:
            others = [other for other in present if other not in needed]
            findings.add(
                f"the folder {name} is missing; unpack the whole archive",
                path=root / name,
                suggestion=closest(name, others),
            )


class Files:
    """Image files below a root; each folder is listed once.

    Comparing a name with all names of a large folder is slow, so only the first few faults get a suggestion.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: dict[Path, frozenset[str]] = {}
        self._forms: dict[Path, dict[str, list[str]]] = {}
        self._suggestions = _MOST_SUGGESTIONS

    def names(self, folder: Path) -> frozenset[str]:
        """Return the names of everything in a folder; empty if the folder does not exist."""
        if folder not in self._folders:
            try:
                self._folders[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._folders[folder] = frozenset()
        return self._folders[folder]

    def on_disk(self, path: str) -> str:
        """Spell a path relative to the root as the file system does: names are compared by their Unicode form."""
        if path.isascii() or Path(path).name in self.names((self.root / path).parent):
            return path
        match = path_on_disk(self.root / path, self._by_form)
        return match.relative_to(self.root).as_posix() if match.is_relative_to(self.root) else str(match)

    def real(self, path: str) -> str:
        """Resolve the links of a path relative to the root: one text for each file."""
        return os.path.realpath(self.root / path)

    def _by_form(self, folder: Path) -> Mapping[str, Sequence[str]]:
        if folder not in self._forms:
            forms = self._forms[folder] = {}
            for name in sorted(self.names(folder)):
                forms.setdefault(composed(name), []).append(name)
        return self._forms[folder]

    def check(self, path: str, place: str, findings: Findings) -> bool:
        """Return whether a path relative to the root is an image file; add a fault if not.

        Args:
            path: The path.
            place: Line of the list that names it.
            findings: Where the fault is added.
        """
        text, suggestion = self._fault(path)
        if text:
            findings.add(text, place=place, kind="missing files", path=self.root / path, suggestion=suggestion)
        return not text

    def _fault(self, path: str) -> tuple[str, str | None]:
        """What is wrong with a path, empty if nothing is, and the nearest name."""
        whole = self.root / path
        if whole.name in self.names(whole.parent):
            if whole.suffix.lower() in IMAGE_SUFFIXES:
                return _irregular(path, whole), None
            return f"{path} does not have the suffix of an image ({', '.join(sorted(IMAGE_SUFFIXES))})", None
        if "\\" in path and (self.root / path.replace("\\", "/")).is_file():
            return f"{path} is written with \\; folders are separated by /, as in {path.replace(chr(92), '/')}", None
        if self.names(whole.parent):
            return f"{path} does not exist", self._closest(whole.name, whole.parent)
        folder = whole.parent
        while not self.names(folder.parent) and folder != folder.parent:
            folder = folder.parent
        return f"{path} does not exist: there is no folder {folder.name}", self._closest(folder.name, folder.parent)

    def _closest(self, word: str, folder: Path) -> str | None:
        self._suggestions -= 1
        return closest(word, self.names(folder)) if self._suggestions >= 0 else None


def _irregular(path: str, whole: Path) -> str:
    """What is wrong with a name that is in its folder; empty for a file or a link to one."""
    if os.path.isfile(whole):
        return ""
    if os.path.isdir(whole):
        return f"{path} is a folder, not an image"
    if os.path.islink(whole):
        return f"{path} is a link to {os.readlink(whole)}, which does not exist"
    return f"{path} is not a regular file"
