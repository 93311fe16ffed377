"""Data sets of people's own, described by a CSV file and by no code; see docs/data.md."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from math import isfinite
from pathlib import Path
from typing import ClassVar

from vireid.core.errors import DataError, UserError, nearest
from vireid.core.paths import InputFile, PathText, composed, normalized_path, path_on_disk
from vireid.core.registries import DATASETS
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.attributes import UNKNOWN, attribute_value
from vireid.data.datasets.csv_labels import missing_fault, number_labels
from vireid.data.datasets.found import Found, FoundDataset
from vireid.data.datasets.listing import Faults, Files, relative_path
from vireid.data.faults import listed
from vireid.data.images.image_files import LeftOut, add_unlisted, image_folders

ROLES = ("path", "identity", "camera", "modality", "split", "time")
MODALITIES: Mapping[str, str] = {
    **dict.fromkeys(("visible", "vis", "rgb", "color", "colour"), "visible"),
    **dict.fromkeys(("infrared", "ir", "nir", "thermal"), "infrared"),
}
SPLITS: Mapping[str, str] = {"train": "train", "test": "test"}
NONE = "none"  # a split of images that are not used
SEPARATORS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class Row:
    """A line that could be read. Identity and camera are words until all lines are known."""

    place: str  # 'images.csv:7'
    path: str
    identity: str
    camera: str
    modality: Modality
    split: str
    time: float | None
    attributes: tuple[int, ...] | None


@DATASETS.register
class CsvDataset(FoundDataset):
    """Lists the images of a CSV file, opens none of them.

    `root`: the folder that everything is relative to. Either `file`: one CSV file with a column that says the split, or
    `train` and `test`: a file for each. UTF-8, comma, semicolon or tab, whichever the first line uses most; the first
    line names the columns, in any order; columns that nobody asks for are passed over.

    Columns, by the names that `columns` gives them (role -> name in the file) or else by their own:
      path      of the image, relative to `root` or absolute
      identity  whole numbers (3, 3.0 and 003 are one), or names (then numbered 0, 1, ... in natural order: c2, c10)
      camera    the same, names numbered from 1; `camera_names` has them by number
      modality  visible (vis, rgb, color) or infrared (ir, nir, thermal); `modalities` adds words (word -> visible or
                infrared)
      split     train or test; `splits` adds words (word -> train, test or none; images of none are not used)
      time      optional: seconds, or a date and time as in 2024-05-31T10:20:30; for protocols that leave out pictures
                taken at nearly the same moment
    `attribute_columns`: names of columns that hold 0, 1 or nothing (unknown) for each image. Or `attributes`: a .csv or
    .xlsx table (docs/attributes.md) with a row for each identity, or for each identity in a camera.

    Training labels are the ranks of the identities. Both lists are in the order of the file. Every bad line is reported
    at once with its number and the nearest right thing: values that cannot be read, files that are not there or stand
    twice, identities in both splits, people to train on in one modality only.

    What is known without data is not much: `placeholder` stands in for the numbers of identities and cameras.
    """

    called = "a data set"
    placeholder = DatasetInfo(num_ids=1000, num_cameras=16)
    example: ClassVar[dict] = {"root": "datasets/mine", "file": "images.csv"}

    def __init__(
        self,
        *,
        root: PathText = ".",
        file: str | None = None,
        train: str | None = None,
        test: str | None = None,
        columns: Mapping[str, str] | None = None,
        modalities: Mapping[str, str] | None = None,
        splits: Mapping[str, str] | None = None,
        attribute_columns: tuple[str, ...] = (),
        attributes: InputFile | None = None,
    ) -> None:
        super().__init__(root=root, attributes=attributes)
        if (file is None) == (train is None and test is None) or (train is None) != (test is None):
            raise UserError("give either file (with a column split) or both train and test")
        if attribute_columns and attributes is not None:
            raise UserError("give either attribute_columns (of the file) or attributes (a table), not both")
        self.files = {"": file} if file is not None else {"train": str(train), "test": str(test)}
        self.columns = _completed("columns", columns, {role: role for role in ROLES}, ROLES, keys=ROLES)
        self.modalities = _completed("modalities", modalities, MODALITIES, ("visible", "infrared"))
        self.splits = _completed("splits", splits, SPLITS, ("train", "test", NONE))
        self.asked_for = {role.lower() for role in columns or ()}
        self.attribute_columns = tuple(attribute_columns)
        if self.attribute_columns:
            self.placeholder = DatasetInfo(num_ids=1000, num_cameras=16, num_attributes=len(self.attribute_columns))
        self._people: dict[Path, int] = {}
        self._unused: list[Path] = []  # images of the split none
        self._camera_names: Mapping[int, str] = {}
        if file is None and (splits or "split" in self.asked_for):
            raise UserError(
                "splits (and columns: split) have no effect with train and test, each of which is one split"
            )
        self._given = {"modality": dict(modalities or {}), "split": dict(splits or {})}
        self._words: dict[str, set[str]] = {"modality": set(), "split": set()}

    @property
    def checkpoint_key(self) -> dict[str, str | int]:
        """What a checkpoint must agree in to belong to this data set."""
        return {**super().checkpoint_key, "file": " and ".join(Path(file).name for file in self.files.values())}

    def facts(self) -> DatasetInfo:
        """Numbers of identities in training, of cameras and of attributes."""
        found = self._checked()
        width = found.table.width if found.table is not None else len(self.attribute_columns)
        cameras = {sample.camera for sample in (*found.train, *found.test)}
        return DatasetInfo(len({sample.identity for sample in found.train}), len(cameras), width)

    @property
    def camera_names(self) -> Mapping[int, str]:
        """Camera number -> name; empty where the file has numbers. DataError where the file cannot be listed."""
        self._all()
        return self._camera_names

    def _title(self) -> str:
        return f"{' and '.join(str(self._file(file)) for file in self.files.values())} cannot be used as {self.called}"

    def _person(self, sample: Sample) -> int:
        return self._people[sample.path]

    def _file(self, name: str) -> Path:
        return path_on_disk(normalized_path(name, self.root))

    def _left_out(self, found: Found) -> LeftOut:
        """Images that no line names: in the folders of the first names of the paths, or next to an image."""
        images = [*self._unused, *(sample.path for sample in (*found.train, *found.test))]
        listed = [*images, *map(self._file, self.files.values()), *([self.attributes] if self.attributes else [])]
        deep, flat = image_folders(images, self.root)
        left_out = LeftOut()
        left_out.update(found.left_out)
        add_unlisted(deep, listed, "image that no line names", left_out)
        add_unlisted(flat, listed, "image that no line names", left_out, deep=False)
        for path in self._unused:
            left_out.add(path, f"image of the split {NONE}")
        return left_out

    def _scan(self) -> Found:
        self._check_files()
        self._unused = []
        faults = Faults()
        rows = [row for split, file in self.files.items() for row in self._read(file, split, faults)]
        rows = self._on_disk(rows, faults)
        people = number_labels("identity", [(row.place, row.identity) for row in rows], 0, faults).numbers
        labels = number_labels("camera", [(row.place, row.camera) for row in rows], 1, faults)
        cameras, self._camera_names = labels.numbers, labels.names
        self._add_unmatched_words(faults)
        rows = [row for row in rows if row.identity in people and row.camera in cameras]
        of_split = {split: [row for row in rows if row.split == split] for split in ("train", "test")}
        _check_people(of_split, people, faults)
        rank = {person: label for label, person in enumerate(sorted({people[r.identity] for r in of_split["train"]}))}
        self._people = {self.root / row.path: people[row.identity] for row in rows}

        def sample(row: Row, identity: int) -> Sample:
            path = self.root / row.path
            return Sample(path, identity, row.modality, cameras[row.camera], row.attributes, row.time)

        train = [sample(row, rank[people[row.identity]]) for row in of_split["train"]]
        return Found(train, [sample(row, people[row.identity]) for row in of_split["test"]], faults)

    def _check_files(self) -> None:
        if not self.root.is_dir():
            beside = [child.name for child in self.root.parent.iterdir()] if self.root.parent.is_dir() else []
            what = "is a file, not a folder" if self.root.exists() else "does not exist"
            raise DataError(f"the data folder {self.root} {what} (DATA.ROOT){nearest(self.root.name, beside)}")
        for split, name in self.files.items():
            file = self._file(name)
            if not file.is_file():
                beside = [child.name for child in file.parent.iterdir()] if file.parent.is_dir() else []
                key = f"DATA.{split.upper() or 'FILE'}"
                raise DataError(f"{file} does not exist ({key} is relative to DATA.ROOT){nearest(file.name, beside)}")

    def _read(self, name: str, split: str, faults: Faults) -> Iterator[Row]:
        """The rows of a file that can be read; `split` is the one of the whole file, or "" where a column says it."""
        lines = csv_lines(self._file(name))
        header = [composed(cell.strip()) for cell in next(lines, (0, []))[1]]
        place = self._header(header, name, split, faults)
        if place is None:
            return
        number = 1
        for number, cells in lines:
            where = f"{name}:{number}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                faults.add(f"{where}: {len(cells)} cells, but line 1 names {len(header)} columns", "such lines")
                continue
            words = {role: cells[column].strip() for role, column in place.items()}
            words = {role: word if role == "path" else composed(word) for role, word in words.items()}
            row = self._row(where, words, split, faults)
            if row is not None:
                yield row
        if number == 1:
            faults.add(f"{name}: there is no line below the names of the columns")

    def _add_unmatched_words(self, faults: Faults) -> None:
        """A fault for each word of `modalities` and `splits` that no line has."""
        for role, words in self._words.items():
            for word in self._given[role] if words else ():
                if str(word).lower() not in words:
                    known = f"(words of the column {self.columns[role]}: {listed(sorted(words)) or 'none'})"
                    key = "MODALITIES" if role == "modality" else "SPLITS"
                    faults.add(f"DATA.{key}: no line has the {role} {word!r}{nearest(str(word), words)} {known}")

    def _header(self, header: list[str], name: str, split: str, faults: Faults) -> dict[str, int] | None:
        """Role (or attribute) -> column; None and faults where columns are missing."""
        lower, before = [word.lower() for word in header], len(faults)
        wanted = {role: self.columns[role] for role in ROLES if not (role == "split" and split)}
        wanted |= {f"attribute {word}": word for word in self.attribute_columns}
        wanted = {role: composed(word) for role, word in wanted.items()}
        place = {}
        for role, word in wanted.items():
            if word.lower() in lower:
                place[role] = lower.index(word.lower())
            elif role != "time" or role in self.asked_for:
                way_out = f"; DATA.COLUMNS.{role.upper()} names the right one" if role in ROLES else ""
                known = f" (columns: {listed(header) or 'none'}){way_out}"
                faults.add(f"{name}:1: no column is named {word!r}{nearest(word, header)}{known}")
        twice = sorted({word for word in header if lower.count(word.lower()) > 1 and word.lower() in wanted.values()})
        if twice:
            faults.add(f"{name}:1: names of more than one column: {listed(twice)}")
        return place if len(faults) == before else None

    def _row(self, place: str, cells: Mapping[str, str], split: str, faults: Faults) -> Row | None:
        before = len(faults)
        for role in ("modality", "split"):
            self._words[role].add(cells.get(role, "").lower())
        used = split or _word(place, "split", cells["split"], self.splits, faults)
        if used == NONE:
            self._unused.append(self.root / cells["path"])
            return None
        if not cells["path"]:
            faults.add(f"{place}: the path is empty", "empty cells")
        for role in ("identity", "camera"):
            if fault := missing_fault(role, cells[role]):
                faults.add(f"{place}: {fault}", "empty cells")
        modality = _word(place, "modality", cells["modality"], self.modalities, faults)
        time = _time(place, cells.get("time", ""), faults)
        attributes = [_attribute(place, word, cells[f"attribute {word}"], faults) for word in self.attribute_columns]
        if len(faults) > before:
            return None
        known = tuple(attributes) if any(value != UNKNOWN for value in attributes) else None
        kind = Modality[str(modality).upper()]
        return Row(place, cells["path"], cells["identity"], cells["camera"], kind, str(used), time, known)

    def _on_disk(self, rows: Sequence[Row], faults: Faults) -> list[Row]:
        """The rows whose file is there, each file once."""
        files, seen = Files(self.root), {}
        for row in rows:
            row = replace(row, path=files.on_disk(relative_path(row.path, self.root)))
            if fault := files.fault(row.path):
                faults.add(f"{row.place}: {fault}", "missing files")
            elif (other := seen.setdefault(files.real(row.path), row)) is not row:
                faults.add(f"{row.place}: {row.path} stands in {other.place} already", "repeated files")
        return list(seen.values())


def _completed(
    name: str,
    given: Mapping[str, str] | None,
    defaults: Mapping[str, str],
    known: Sequence[str],
    keys: Sequence[str] = (),
) -> dict[str, str]:
    """The defaults with what was given on top, keys in lower case; UserError for unknown keys or values."""
    out = dict(defaults)
    for key, value in (given or {}).items():
        role, value = composed(str(key).lower()), str(value)
        if keys and role not in keys:
            raise UserError(f"{name}: there is no {key!r}{nearest(role, keys)} (known: {', '.join(keys)})")
        if not keys and value not in known:
            raise UserError(f"{name}: {key!r} cannot be {value!r}{nearest(value, known)} (known: {', '.join(known)})")
        out[role] = value
    return out


def csv_lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells; DataError for a file that is no CSV text."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text ({error}); save it as UTF-8") from error
    head = text.splitlines()[0] if text.strip() else ""
    reader = csv.reader(text.splitlines(keepends=True), delimiter=max(SEPARATORS, key=head.count), strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: not CSV ({error})") from error


def _word(place: str, role: str, cell: str, known: Mapping[str, str], faults: Faults) -> str | None:
    """What a word of the file means; None and a fault for one that nobody knows."""
    if cell.lower() not in known:
        way_out = f"known: {', '.join(known)}; DATA.{'MODALITIES' if role == 'modality' else 'SPLITS'} adds words"
        faults.add(
            f"{place}: {role} {cell!r} is unknown{nearest(cell, known)} ({way_out})", f"unknown words for {role}"
        )
        return None
    return known[cell.lower()]


def _time(place: str, cell: str, faults: Faults) -> float | None:
    try:
        return seconds_of(cell)
    except ValueError as error:
        faults.add(f"{place}: {error}", "such times")
        return None


def seconds_of(cell: str) -> float | None:
    """A time in seconds, None for nothing; a date and time without a zone counts as UTC. UserError for other words."""
    if not cell:
        return None
    with suppress(ValueError):
        if isfinite(float(cell)):
            return float(cell)
    try:
        moment = datetime.fromisoformat(cell.removesuffix("Z"))
    except ValueError as error:
        raise UserError(f"time {cell!r} is neither seconds nor a date and time as in 2024-05-31T10:20:30") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def _attribute(place: str, word: str, cell: str, faults: Faults) -> int:
    try:
        return attribute_value(cell)
    except ValueError as error:
        faults.add(f"{place}: {word}: {error}", "wrong attributes")
        return UNKNOWN


def _check_people(of_split: Mapping[str, Sequence[Row]], people: Mapping[str, int], faults: Faults) -> None:
    """Faults of the splits: empty ones, people in both, people to train on in one modality only."""
    sound = not len(faults)
    seen = {
        (split, modality): {people[row.identity]: row.identity for row in rows if row.modality == modality}
        for split, rows in of_split.items()
        for modality in Modality
    }
    for (split, modality), there in seen.items():
        if not there and sound:
            faults.add(f"no {modality.name.lower()} image has the split {split}")
    train = seen["train", Modality.VISIBLE] | seen["train", Modality.INFRARED]
    test = seen["test", Modality.VISIBLE] | seen["test", Modality.INFRARED]
    if both := sorted(set(train) & set(test)):
        first = [{people[row.identity]: row.place for row in reversed(of_split[split])} for split in ("train", "test")]
        places = [f"{train[person]} ({', '.join(places[person] for places in first)})" for person in both]
        faults.add(f"identities in both splits: {listed(places)}; a person is either trained on or tested on")
    for modality in Modality:
        if (alone := sorted(set(train) - set(seen["train", modality]))) and sound:
            words = listed(train[person] for person in alone)
            faults.add(
                f"training identities without {modality.name.lower()} images: {words}; add some or leave them out"
            )
