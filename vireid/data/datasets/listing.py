"""What the readers of data sets share: folders, index files, and faults that are reported together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vireid.core.errors import DataError, nearest
from vireid.data.faults import counted, listed

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
MOST = 10  # faults of one kind that are shown


class Faults:
    """Everything that is wrong with a data set, in the order in which it was found.

    Of many faults of one `kind` the first few are shown and the others counted.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, list[str]] = {}

    def add(self, text: str, kind: str = "") -> None:
        """`kind` names the faults of which there may be many, in the plural: 'missing files'."""
        self._kinds.setdefault(kind or text, []).append(text)

    def __len__(self) -> int:
        return sum(map(len, self._kinds.values()))

    def texts(self) -> list[str]:
        """All of them, none left out."""
        return [text for texts in self._kinds.values() for text in texts]

    def raise_if_any(self, what: str) -> None:
        """DataError: `what` and all faults, one a line."""
        if not len(self):
            return
        lines = [f"{what} ({counted(len(self), 'fault')}):"]
        for kind, texts in self._kinds.items():
            lines += [f"  - {text}" for text in texts[:MOST]]
            if len(texts) > MOST:
                lines.append(f"    ... and {len(texts) - MOST} more {kind}")
        raise DataError("\n".join(lines))


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones; none where there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def images_in(folder: Path) -> list[str]:
    """Names of the images in a folder, sorted; hidden files and files that are no images are left out."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES
        )


def check_root(root: Path, needed: Sequence[str], *, called: str, layout: str, origin: str) -> None:
    """DataError if `root` is no folder of that data set at all: then a list of faults would only hide that.

    `needed`: folders that it holds; one that is there is enough here. `called`: the data set's name; `layout`: the name
    that tools/make_synthetic.py knows it by; `origin`: a sentence about where it comes from.
    """
    together = f"{', '.join(needed[:-1])} and {needed[-1]}"
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise DataError(
            f"the data folder {root} {what}{nearest(root.name, subfolders(root.parent))}"
            f"\n  DATA.ROOT is the folder that holds {together}."
            f"\n  {origin}"
            f"\n  tools/make_synthetic.py --layout {layout} --out DIR writes a synthetic data set of the same form"
        )
    present = subfolders(root)
    if set(needed) & set(present):
        return
    for child in present:  # the usual mistake: one folder too high
        if all((root / child / name).is_dir() for name in needed):
            raise DataError(
                f"{root} holds no {together}, but its folder {child!r} does: set DATA.ROOT to {root / child}"
            )
    if all((root.parent / name).is_dir() for name in needed):  # one too low
        raise DataError(f"{root} is a part of {called}: set DATA.ROOT to {root.parent}")
    shown = f" (it holds {listed(present)})" if present else " (it holds no folders)"
    hint = next((text for name in present if (text := nearest(name, needed))), "")
    raise DataError(f"{root} has not the layout of {called}: it holds no {together}{shown}{hint}")


def check_folders(root: Path, needed: Sequence[str], faults: Faults) -> None:
    """A fault for each folder that is not there, with the nearest one that is."""
    present = subfolders(root)
    for name in needed:
        if name not in present:
            others = [other for other in present if other not in needed]
            faults.add(f"the folder {name} is missing; unpack the whole archive{nearest(name, others)}")


def read_text(file: Path, place: str, expected: str, faults: Faults) -> str | None:
    """The text of a file, or None and a fault. `expected`: what it should hold, in words."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        beside = [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []
        alike = [name for name in beside if _digits(name) == _digits(file.name)]  # another trial is another file
        faults.add(f"{place} is missing; it holds {expected}{nearest(file.name, alike)}")
    except (OSError, UnicodeDecodeError) as error:
        faults.add(f"{place} cannot be read as text: {error}")
    return None


def _digits(name: str) -> str:
    return "".join(filter(str.isdigit, name))


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of an index file."""

    place: str  # 'idx/train_visible_3.txt, line 7'
    path: str  # relative to the root
    label: int


def read_index(root: Path, name: str, faults: Faults) -> list[Entry]:
    """The lines `relative/path label` of `root/name`, split at the first blank; empty lines are passed over.

    Faults: a file that is missing, unreadable or empty, lines that are no such pair, paths named twice.
    """
    text = read_text(root / name, name, "a line 'relative/path label' for each image", faults)
    if text is None:
        return []
    entries: dict[str, Entry] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        place, words = f"{name}, line {number}", line.split(maxsplit=1)
        if not words:
            continue
        path, label = words[0], words[1].strip() if len(words) > 1 else ""
        if not (label.isascii() and label.isdecimal()):
            fault = f"{label!r} is not a label (a whole number from 0)" if label else "has no label"
            shown = line if len(line) <= 80 else line[:77] + "..."
            faults.add(f"{place}: {fault}; a line is 'relative/path label' (the line: {shown!r})", "such lines")
        elif path in entries:
            faults.add(f"{place}: {path} stands in {entries[path].place} already", "repeated lines")
        else:
            entries[path] = Entry(place, path, int(label))
    if not text.strip():
        faults.add(f"{name} is empty; it holds a line 'relative/path label' for each image")
    return list(entries.values())


class Files:
    """Which files there are below a root; each folder is listed once.

    Looking for the nearest name in a folder of many thousands takes a while: it is done for the first few faults only.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: dict[Path, frozenset[str]] = {}
        self._hints = MOST

    def names(self, folder: Path) -> frozenset[str]:
        """Names of everything in a folder; nothing where there is no such folder."""
        if folder not in self._folders:
            try:
                self._folders[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._folders[folder] = frozenset()
        return self._folders[folder]

    def fault(self, path: str) -> str | None:
        """What is wrong with a path relative to the root, with the nearest that is there; None where it is fine."""
        whole = self.root / path
        if whole.name in self.names(whole.parent):
            if whole.suffix.lower() in IMAGE_SUFFIXES:
                return None
            return f"{path} is no image by its name ({', '.join(sorted(IMAGE_SUFFIXES))} are)"
        if "\\" in path and (self.root / path.replace("\\", "/")).is_file():
            return f"{path} is written with \\; folders are separated by /, as in {path.replace(chr(92), '/')}"
        if self.names(whole.parent):
            return f"{path} does not exist{self._nearest(whole.name, whole.parent)}"
        folder = whole.parent
        while not self.names(folder.parent) and folder != folder.parent:
            folder = folder.parent
        hint = self._nearest(folder.name, folder.parent)
        return f"{path} does not exist: there is no folder {folder.name}{hint}"

    def _nearest(self, word: str, folder: Path) -> str:
        self._hints -= 1
        return nearest(word, self.names(folder)) if self._hints >= 0 else ""


def _outside(path: str) -> str | None:
    """A fault for a path of an index file that leaves the data folder."""
    if os.path.isabs(path) or ".." in Path(path).parts:
        return f"{path} points outside of the data folder; paths are relative to it"
    return None


def check_entries(lists: Iterable[Sequence[Entry]], files: Files, faults: Faults) -> None:
    """Faults for files that are not there, and for files that stand in two of the lists."""
    seen: dict[str, Entry] = {}
    for entry in (entry for entries in lists for entry in entries):
        if fault := _outside(entry.path) or files.fault(entry.path):
            faults.add(f"{entry.place}: {fault}", "missing files")
        other = seen.setdefault(entry.path, entry)
        if other is not entry:
            faults.add(f"{entry.place}: {entry.path} stands in {other.place} too", "files in two lists")


def check_both_modalities(*lists: tuple[str, Sequence[Entry]], faults: Faults) -> None:
    """A fault for training labels that stand in one of two index files (name, lines) only."""
    labels = {name: {entry.label for entry in entries} for name, entries in lists}
    if not all(labels.values()):
        return  # said already
    everybody = set().union(*labels.values())
    for name, there in labels.items():
        if missing := sorted(everybody - there):
            faults.add(f"training labels without a line in {name}: {listed(missing)}; complete them or take them out")


def ranks(entries: Iterable[Entry]) -> dict[int, int]:
    """Label -> 0, 1, ... in ascending order: the same number where they are contiguous from 0, as in the real sets."""
    return {label: rank for rank, label in enumerate(sorted({entry.label for entry in entries}))}


def read_identities(file: Path, place: str, problems: list[str]) -> list[str]:
    """Zero-padded names of the identities in the first line, comma separated; faults are added to `problems`."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problems.append(f"{place} is missing; it holds the identities of the split, comma separated, in its first line")
        return []
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{place} cannot be read as text: {error}")
        return []
    line = (text.splitlines() or [""])[0].strip()
    if not line:
        problems.append(f"{place} is empty in its first line, which should hold identities, comma separated")
        return []
    entries = [entry.strip() for entry in line.split(",")]
    wrong = [entry for entry in entries if not (entry.isascii() and entry.isdecimal())]
    if wrong:
        shown = line if len(line) <= 60 else line[:57] + "..."
        problems.append(f"{place}, line 1: {wrong[0]!r} is not an identity number (the line: {shown!r})")
        return []
    names = [f"{int(entry):04d}" for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.append(f"{place} names identities twice: {listed(twice)}")
    return names
