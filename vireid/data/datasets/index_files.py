"""Read the lists of a dataset: index files of paths and labels, and files of identities."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vireid.core.errors import closest
from vireid.core.text import listed
from vireid.data.datasets.folders import Files, siblings
from vireid.data.findings import Findings

MOST_DIGITS = 18  # of an identity or a label, so that it fits into 64 bits


def read_text(file: Path, place: str, contents: str, findings: Findings, *, suggest: bool = True) -> str | None:
    """Read a text file; None and a fault if that is not possible.

    Args:
        file: The file.
        place: Its name in messages.
        contents: What it should hold, in words.
        findings: Where the fault is added.
        suggest: Whether a file of a similar name is suggested for a missing one.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        same_digits = [name for name in siblings(file) if _digits(name) == _digits(file.name)]  # of the same split
        findings.add(
            f"{place} is missing; it holds {contents}",
            path=file,
            suggestion=closest(file.name, same_digits) if suggest else None,
        )
    except (OSError, UnicodeDecodeError) as error:
        findings.add(f"{place} cannot be read as text: {error}", path=file)
    return None


def _digits(name: str) -> str:
    return "".join(filter(str.isdigit, name))


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of an index file.

    Args:
        place: File and line, such as "idx/train_visible_3.txt, line 7".
        path: Path of the image, relative to the root.
        label: Label of the image.
    """

    place: str
    path: str
    label: int


_PAIR = "'relative/path label'"


def read_index(root: Path, name: str, findings: Findings) -> list[Entry]:
    """Read the lines `relative/path label` of `root/name`, split at the first whitespace; empty lines are skipped.

    Faults: a file that is missing, unreadable or empty, lines of another form, and paths that are listed twice.
    """
    text = read_text(root / name, name, f"a line {_PAIR} for each image", findings)
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
            findings.add(f"{fault}; a line is {_PAIR} (the line: {shown!r})", place=place, kind="such lines")
        elif path in entries:
            findings.add(
                f"{path} is already listed in {entries[path].place}",
                place=place,
                kind="repeated lines",
                path=root / path,
            )
        else:
            entries[path] = Entry(place, path, int(label.lstrip("0") or "0"))
    if not text.strip():
        findings.add(f"{name} is empty; it holds a line {_PAIR} for each image", path=root / name)
    return list(entries.values())


def _label_fault(label: str) -> str:
    if not label:
        return "has no label"
    if not (label.isascii() and label.isdecimal()):
        return f"{label!r} is not a label (an integer from 0)"
    return f"the label {label!r}{fault}" if (fault := _too_long(label)) else ""


def _too_long(number: str) -> str:
    digits = len(number.lstrip("0"))
    return f" has {digits} digits; {MOST_DIGITS} are the most that fit into 64 bits" if digits > MOST_DIGITS else ""


def located(entries: Iterable[Entry], files: Files) -> list[Entry]:
    """Spell the paths of the lines as the file system does (`Files.on_disk`)."""
    return [replace(entry, path=files.on_disk(entry.path)) for entry in entries]


def check_entries(lists: Iterable[Sequence[Entry]], files: Files, findings: Findings) -> None:
    """Add faults for files that do not exist, and for files that are in two of the lists."""
    first: dict[str, Entry] = {}
    for entry in (entry for entries in lists for entry in entries):
        if os.path.isabs(entry.path) or ".." in Path(entry.path).parts:
            text = f"{entry.path} points outside of the data folder; paths are relative to it"
            findings.add(text, place=entry.place, kind="missing files")
        else:
            files.check(entry.path, entry.place, findings)
        other = first.setdefault(files.real(entry.path), entry)
        if other is not entry:
            findings.add(
                f"{entry.path} is also listed in {other.place}",
                place=entry.place,
                kind="files in two lists",
                path=files.root / entry.path,
            )


def indexed_paths(root: Path, names: Iterable[str]) -> list[Path]:
    """Return the paths that index files name; files and lines with faults are skipped."""
    return [root / entry.path for name in names for entry in read_index(root, name, Findings())]


def check_both_modalities(*lists: tuple[str, Sequence[Entry]], findings: Findings) -> None:
    """Add a fault for training labels that are in only one of two index files."""
    labels = {name: {entry.label for entry in entries} for name, entries in lists}
    if not all(labels.values()):
        return  # an empty list is a fault already
    all_labels = set().union(*labels.values())
    for name, present in labels.items():
        if missing := sorted(all_labels - present):
            findings.add(f"training labels without a line in {name}: {listed(missing)}; add lines or remove the labels")


def ranks(entries: Iterable[Entry]) -> dict[int, int]:
    """Map labels to 0, 1, ... in ascending order: the same number if they are contiguous from 0."""
    return {label: rank for rank, label in enumerate(sorted({entry.label for entry in entries}))}


def read_identities(file: Path, place: str, findings: Findings) -> list[str]:
    """Read zero-padded names of identities from a list; empty if an entry is not an identity.

    The numbers are separated by commas, semicolons, whitespace or line ends, in any mixture; a separator may be at the
    end of a line. The published lists have one line with commas.

    Args:
        file: The file.
        place: Its name in messages.
        findings: Where faults are added.
    """
    contents = "the identities of the split, separated by commas or line ends"
    text = read_text(file, place, contents, findings, suggest=False)
    if text is None:
        return []
    lines: dict[str, list[int]] = {}  # name -> numbers of its lines
    sound = True
    for number, line in enumerate(text.splitlines(), start=1):
        for entry in re.split(r"\s*[,;]\s*|\s+", re.sub(r"\s*[,;]?\s*$", "", line.strip())) if line.strip() else ():
            valid = entry.isascii() and entry.isdecimal()
            if fault := _too_long(entry) if valid else " is not an identity number":
                shown = line.strip() if len(line.strip()) <= 60 else line.strip()[:57] + "..."
                findings.add(
                    f"{entry!r}{fault} (the line: {shown!r})",
                    place=f"{place}, line {number}",
                    kind=f"entries of {place} that are not identity numbers",
                    path=file,
                )
                sound = False
            else:
                lines.setdefault(entry.lstrip("0").zfill(4), []).append(number)
    if not sound:
        return []
    if not lines:
        findings.add(f"{place} is empty; it holds {contents}", path=file)
    repeated = sorted(name for name, numbers in lines.items() if len(numbers) > 1)
    if repeated:
        findings.add(f"{place} lists identities twice: {listed(repeated)}", path=file)
    return list(lines)
