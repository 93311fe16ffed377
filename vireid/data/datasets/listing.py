"""What the readers of data sets share: folders, index files, and faults that are reported together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vireid.core.errors import DataError, nearest
from vireid.core.paths import composed, normalized_path, path_on_disk
from vireid.data.faults import counted, listed
from vireid.data.images.image_files import IMAGE_SUFFIXES, LeftOut, is_folder, is_image_name, reason_left_out

MOST = 10  # faults of one kind that are shown
MOST_DIGITS = 18  # of an identity or a label, so that it fits into 64 bits


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


def folder_of(path: str | Path) -> Path:
    """A path of a config: absolute, without `~`, and in the Unicode form in which it is on disk."""
    return path_on_disk(normalized_path(path))


def relative_path(path: str, root: Path) -> str:
    """A path without `~` and `..`, relative to the root where it is below it: one file has one path."""
    if not path.startswith("~/") and ".." not in Path(path).parts:
        return path
    whole = normalized_path(path, root)
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else str(whole)


def subfolders(folder: Path, left_out: LeftOut | None = None) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones; none where there is no such folder.

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
    """Names of the images in a folder, sorted; links are followed.

    Hidden files, files that are no images by their suffix, and folders are added to `left_out`.
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
        if fault := _label_fault(label):
            shown = line if len(line) <= 80 else line[:77] + "..."
            faults.add(f"{place}: {fault}; a line is 'relative/path label' (the line: {shown!r})", "such lines")
        elif path in entries:
            faults.add(f"{place}: {path} stands in {entries[path].place} already", "repeated lines")
        else:
            entries[path] = Entry(place, path, int(label.lstrip("0") or "0"))
    if not text.strip():
        faults.add(f"{name} is empty; it holds a line 'relative/path label' for each image")
    return list(entries.values())


def _label_fault(label: str) -> str:
    if not label:
        return "has no label"
    if not (label.isascii() and label.isdecimal()):
        return f"{label!r} is not a label (a whole number from 0)"
    return f"the label {label!r}{fault}" if (fault := _too_long(label)) else ""


def _too_long(number: str) -> str:
    digits = len(number.lstrip("0"))
    return f" has {digits} digits; {MOST_DIGITS} are the most that fit into 64 bits" if digits > MOST_DIGITS else ""


class Files:
    """Which files there are below a root; each folder is listed once.

    Looking for the nearest name in a folder of many thousands takes a while: it is done for the first few faults only.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: dict[Path, frozenset[str]] = {}
        self._forms: dict[Path, dict[str, list[str]]] = {}
        self._hints = MOST

    def names(self, folder: Path) -> frozenset[str]:
        """Names of everything in a folder; nothing where there is no such folder."""
        if folder not in self._folders:
            try:
                self._folders[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._folders[folder] = frozenset()
        return self._folders[folder]

    def on_disk(self, path: str) -> str:
        """A path relative to the root as the file system spells it: names are compared by their Unicode normal form."""
        if path.isascii() or Path(path).name in self.names((self.root / path).parent):
            return path
        found = path_on_disk(self.root / path, self._by_form)
        return found.relative_to(self.root).as_posix() if found.is_relative_to(self.root) else str(found)

    def real(self, path: str) -> str:
        """The file that a path relative to the root leads to, without links: one text for each file."""
        return os.path.realpath(self.root / path)

    def _by_form(self, folder: Path) -> Mapping[str, Sequence[str]]:
        if folder not in self._forms:
            forms = self._forms[folder] = {}
            for name in sorted(self.names(folder)):
                forms.setdefault(composed(name), []).append(name)
        return self._forms[folder]

    def fault(self, path: str) -> str | None:
        """What is wrong with a path relative to the root, with the nearest that is there; None where it is fine."""
        whole = self.root / path
        if whole.name in self.names(whole.parent):
            if whole.suffix.lower() in IMAGE_SUFFIXES:
                return _not_a_file(path, whole)
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


def _not_a_file(path: str, whole: Path) -> str | None:
    """What is wrong with a name that is in its folder; None for a file or a link to one."""
    if os.path.isfile(whole):
        return None
    if os.path.isdir(whole):
        return f"{path} is a folder, not an image"
    if os.path.islink(whole):
        return f"{path} is a link to {os.readlink(whole)}, which does not exist"
    return f"{path} is not a regular file"


def _outside(path: str) -> str | None:
    """A fault for a path of an index file that leaves the data folder."""
    if os.path.isabs(path) or ".." in Path(path).parts:
        return f"{path} points outside of the data folder; paths are relative to it"
    return None


def located(entries: Iterable[Entry], files: Files) -> list[Entry]:
    """The lines with their paths as the file system spells them (`Files.on_disk`)."""
    return [replace(entry, path=files.on_disk(entry.path)) for entry in entries]


def check_entries(lists: Iterable[Sequence[Entry]], files: Files, faults: Faults) -> None:
    """Faults for files that are not there, and for files that stand in two of the lists."""
    seen: dict[str, Entry] = {}
    for entry in (entry for entries in lists for entry in entries):
        if fault := _outside(entry.path) or files.fault(entry.path):
            faults.add(f"{entry.place}: {fault}", "missing files")
        other = seen.setdefault(files.real(entry.path), entry)
        if other is not entry:
            faults.add(f"{entry.place}: {entry.path} stands in {other.place} too", "files in two lists")


def indexed_paths(root: Path, names: Iterable[str]) -> list[Path]:
    """Paths that index files name, whatever else is wrong with these; files that cannot be read are passed over."""
    paths = []
    for name in names:
        for entry in read_index(root, name, Faults()):
            paths.append(root / entry.path)
    return paths


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
    """Zero-padded names of the identities in a list; faults are added to `problems`, and then no names are returned.

    The numbers are separated by commas, semicolons, blanks or line ends, in any mixture; a separator may stand at the
    end of a line. The published lists have one line with commas.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problems.append(f"{place} is missing; it holds the identities of the split, separated by commas or line ends")
        return []
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{place} cannot be read as text: {error}")
        return []
    lines: dict[str, list[int]] = {}  # name -> numbers of its lines
    wrong: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        for entry in re.split(r"\s*[,;]\s*|\s+", re.sub(r"\s*[,;]?\s*$", "", line.strip())) if line.strip() else ():
            if not (entry.isascii() and entry.isdecimal()):
                fault = " is not an identity number"
            else:
                fault = _too_long(entry)
            if fault:
                shown = line.strip() if len(line.strip()) <= 60 else line.strip()[:57] + "..."
                wrong.append(f"{place}, line {number}: {entry!r}{fault} (the line: {shown!r})")
            else:
                lines.setdefault(entry.lstrip("0").zfill(4), []).append(number)
    if wrong:
        more = len(wrong) - MOST
        problems += wrong[:MOST] + ([f"{place}: ... and {more} more entries that are no identity numbers"] * (more > 0))
        return []
    if not lines:
        problems.append(f"{place} is empty; it should hold identities, separated by commas or line ends")
    twice = sorted(name for name, places in lines.items() if len(places) > 1)
    if twice:
        problems.append(f"{place} names identities twice: {listed(twice)}")
    return list(lines)
