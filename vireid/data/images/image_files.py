"""Find image files below a folder; links are followed, and all files that are left out are counted."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from vireid.core.errors import Finding
from vireid.core.paths import composed

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


def is_image_name(name: str) -> bool:
    """Whether a file name has a suffix of `IMAGE_SUFFIXES` and is not hidden.

    Example:
        >>> is_image_name("0001.JPG"), is_image_name(".0001.jpg"), is_image_name("Thumbs.db")
        (True, False, False)
    """
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


@dataclass
class LeftOut:
    """Files and folders that a reader did not use, by reason. A folder counts once, whatever it holds.

    Attributes:
        paths: Reason -> paths, in the order of reading.
    """

    paths: dict[str, list[Path]] = field(default_factory=dict)

    def add(self, path: Path, reason: str) -> None:
        self.paths.setdefault(reason, []).append(path)

    def update(self, other: LeftOut) -> None:
        """Add the entries of another object."""
        for reason, paths in other.paths.items():
            self.paths.setdefault(reason, []).extend(paths)

    def __len__(self) -> int:
        return sum(map(len, self.paths.values()))

    def findings(self) -> list[Finding]:
        """One finding for each path, of the severity "left out"; its text is the reason.

        Example:
            >>> left_out = LeftOut()
            >>> left_out.add(Path("a/notes.txt"), "suffix .txt is not an image")
            >>> [str(finding) for finding in left_out.findings()]
            ['a/notes.txt: suffix .txt is not an image']
        """
        return [
            Finding(reason, place=str(path), kind=reason, path=path, severity="left out")
            for reason, paths in self.paths.items()
            for path in paths
        ]

    def lines(self) -> list[str]:
        """One line for each reason (`reason_lines`)."""
        return reason_lines(self.findings())

    def summary(self) -> str:
        """Format all reasons in one line, for the start of a run; empty if nothing was left out.

        Example:
            >>> left_out = LeftOut()
            >>> left_out.add(Path("a/notes.txt"), "suffix .txt is not an image")
            >>> left_out.summary()
            '1 file or folder of the dataset is not used: 1 suffix .txt is not an image'
        """
        if not len(self):
            return ""
        noun = "file or folder of the dataset is" if len(self) == 1 else "files or folders of the dataset are"
        return f"{len(self)} {noun} not used: " + ", ".join(f"{len(p)} {reason}" for reason, p in self.paths.items())


def reason_lines(findings: Iterable[Finding]) -> list[str]:
    """Format findings of files that are left out: one line for each reason with count, reason and the first path.

    Example:
        >>> left_out = LeftOut()
        >>> left_out.add(Path("a/notes.txt"), "suffix .txt is not an image")
        >>> reason_lines(left_out.findings())
        ['1 left out: suffix .txt is not an image (a/notes.txt)']
    """
    places: dict[str, list[str]] = {}
    for finding in findings:
        places.setdefault(finding.text, []).append(finding.place)
    return [
        f"{len(group)} left out: {reason} ({group[0]}{', ...' if len(group) > 1 else ''})"
        for reason, group in places.items()
    ]


READ_ALREADY = "link to a folder that is read already"


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; False for a link to itself, which `DirEntry.is_dir` raises for."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def reason_left_out(name: str) -> str:
    """Why `is_image_name` refuses a file name."""
    if name.startswith("."):
        return "hidden file"
    suffix = os.path.splitext(name)[1].lower()
    return f"suffix {suffix} is not an image" if suffix else "no suffix"


def find_images(folder: Path, *, deep: bool = True) -> tuple[list[Path], LeftOut]:
    """List the image files below a folder, sorted by path, and what was left out.

    Linked files and folders are followed, after all real folders. A link to a folder that was read already is left out
    and reported: cycles end, and no file of a linked folder is listed twice.

    Args:
        folder: The folder.
        deep: Whether folders inside are searched, too.
    """
    left_out, files = LeftOut(), []
    visited, folders, links = {os.path.realpath(folder)}, [folder], []
    while folders or links:
        current = folders.pop() if folders else links.pop()
        if current.is_symlink() and current != folder:
            real = os.path.realpath(current)
            if real in visited:
                left_out.add(current, READ_ALREADY)
                continue
            visited.add(real)
        try:
            with os.scandir(current) as entries:
                children = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            left_out.add(current, f"folder that cannot be listed: {error.strerror or error}")
            continue
        for entry in children:
            path = current / entry.name
            if is_folder(entry):
                if not deep:
                    continue
                if entry.name.startswith("."):
                    left_out.add(path, "hidden folder")
                elif entry.is_symlink():
                    links.append(path)
                elif (real := os.path.realpath(path)) not in visited:
                    visited.add(real)
                    folders.append(path)
            elif not is_image_name(entry.name):
                left_out.add(path, reason_left_out(entry.name))
            elif not os.path.isfile(path):
                left_out.add(path, "link to a file that does not exist" if entry.is_symlink() else "not a regular file")
            else:
                files.append(path)
    return sorted(files), left_out


def add_unlisted(
    folders: Iterable[Path], listed: Iterable[Path], reason: str, left_out: LeftOut, *, deep: bool = True
) -> None:
    """Add the images below some folders that a list does not name, and all files in them that are not images.

    Paths are compared without links in their folders and by Unicode normal form: an image that is listed through a link
    is listed.

    Args:
        folders: Folders that are searched; those that do not exist are skipped.
        listed: Paths of the list.
        reason: Why the other images are left out.
        left_out: Where they are added.
        deep: Whether folders inside are searched, too.
    """
    real = _RealFolders()
    named = {real(path) for path in listed}
    within = {parent for path in named for parent in path.parents}
    for folder in dict.fromkeys(folders):
        if not folder.is_dir():
            continue
        files, others = find_images(folder, deep=deep)
        for file in files:
            if real(file) not in named:
                left_out.add(file, reason)
        for why, paths in others.paths.items():
            for path in paths:
                if why != READ_ALREADY and real(path) not in named and real(path) not in within:
                    left_out.add(path, why)


def image_folders(images: Iterable[Path], root: Path) -> tuple[list[Path], list[Path]]:
    """Where to look for images that a list does not name.

    Returns:
        The folders right below the root that hold listed images, to be searched at any depth; and the folders of other
        images: the root itself, which may be a home folder, and folders outside of it.
    """
    deep, flat = set(), set()
    for image in images:
        below = image.parts[len(root.parts) : -1] if image.is_relative_to(root) else ()
        deep.add(root / below[0]) if below else flat.add(image.parent)
    return sorted(deep), sorted(flat)


class _RealFolders:
    """Paths whose folder has no links and whose names are composed, to be compared; each folder is resolved once."""

    def __init__(self) -> None:
        self._folders: dict[Path, Path] = {}

    def __call__(self, path: Path) -> Path:
        folder = path.parent
        if folder not in self._folders:
            self._folders[folder] = Path(composed(os.path.realpath(folder)))
        return self._folders[folder] / composed(path.name)
