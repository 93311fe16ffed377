"""Datasets that a CSV file describes; see docs/data.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from vireid.core.errors import ArgumentError, DataError, UserError, closest, nearest
from vireid.core.paths import InputFile, PathText, composed, normalized_path, path_on_disk
from vireid.core.registries import DATASETS
from vireid.core.text import listed
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.attributes import UNKNOWN, attribute_value
from vireid.data.datasets.csv_labels import missing_fault, number_labels
from vireid.data.datasets.csv_text import MODALITIES, csv_lines, seconds_of
from vireid.data.datasets.folders import Files, relative_path, siblings
from vireid.data.datasets.listed_dataset import ListedDataset
from vireid.data.findings import Findings
from vireid.data.images.image_files import LeftOut, add_unlisted, image_folders
from vireid.data.listing import DatasetListing

ROLES = ("path", "identity", "camera", "modality", "split", "time")
SPLITS: Mapping[str, str] = {"train": "train", "test": "test"}
NONE = "none"  # a split of images that are not used


@dataclass(frozen=True, slots=True)
class Row:
    """A line that could be parsed. Identity and camera stay text until all lines are read.

    Args:
        place: File and line, such as "images.csv:7".
    """

    place: str
    path: str
    identity: str
    camera: str
    modality: Modality
    split: str
    time: float | None
    attributes: tuple[int, ...] | None


@DATASETS.register
class CsvDataset(ListedDataset):
    """Dataset of a CSV file with one line for each image; see docs/data.md.

    The file is UTF-8 with comma, semicolon or tab, whichever is most frequent in the first line. The first line names
    the columns, in any order; other columns are ignored. Columns (roles):

    - path: the image, relative to `root` or absolute
    - identity: integers (3, 3.0 and 003 are one label), or names (numbered 0, 1, ... in natural order: c2, c10)
    - camera: the same, with names numbered from 1; `camera_names` maps the numbers to the names
    - modality: visible (vis, rgb, color) or infrared (ir, nir, thermal)
    - split: train or test
    - time (optional): seconds, or a date and time as in 2024-05-31T10:20:30; for protocols that ignore gallery images
      taken at nearly the same time as the query

    Training labels are the ranks of the identities. Both splits are in the order of the file. `placeholder` has assumed
    numbers of identities and cameras, because they are unknown without the file.

    Args:
        root: Folder that all paths are relative to.
        file: CSV file with a column for the split. Either `file`, or `train` and `test`.
        train: CSV file of the training images.
        test: CSV file of the test images.
        columns: Role -> name of the column in the file, for columns of other names.
        modalities: Word -> visible or infrared, for further words.
        splits: Word -> train, test or none, for further words; images of the split none are not used.
        attribute_columns: Names of columns with 0, 1 or nothing (unknown) for each image.
        attributes: .csv or .xlsx table (docs/attributes.md) with a row for each identity, or for each identity in a
            camera, or None. Either `attribute_columns` or `attributes`.

    Raises:
        UserError: For arguments that contradict each other.
        DataError: With all faults, their lines and the nearest valid words: cells that cannot be parsed, files that do
            not exist or are listed twice, identities in both splits, training identities without one of the modalities.
            Raised by `train`, `test` and `facts`.
    """

    title = "a dataset"
    states_origin = False
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
        self._renamed = {role.lower() for role in columns or ()}
        self.attribute_columns = tuple(attribute_columns)
        if self.attribute_columns:
            self.placeholder = DatasetInfo(num_ids=1000, num_cameras=16, num_attributes=len(self.attribute_columns))
        self._identities: dict[Path, int] = {}
        self._unused: list[Path] = []  # images of the split none
        self._camera_names: Mapping[int, str] = {}
        if file is None and (splits or "split" in self._renamed):
            raise UserError(
                "splits (and columns: split) have no effect with train and test, each of which is one split"
            )
        self._added_words = {"modality": dict(modalities or {}), "split": dict(splits or {})}
        self._words: dict[str, set[str]] = {"modality": set(), "split": set()}

    @property
    def checkpoint_key(self) -> dict[str, str | int]:
        """Values that a checkpoint must agree in to be of this dataset."""
        return {**super().checkpoint_key, "file": " and ".join(Path(file).name for file in self.files.values())}

    def facts(self) -> DatasetInfo:
        """Return the numbers of training identities, cameras and attributes."""
        listing = self._sound_listing()
        width = listing.table.width if listing.table is not None else len(self.attribute_columns)
        cameras = {sample.camera for sample in (*listing.train, *listing.test)}
        return DatasetInfo(len({sample.identity for sample in listing.train}), len(cameras), width)

    @property
    def camera_names(self) -> Mapping[int, str]:
        """Camera number -> name; empty if the file has numbers.

        Raises:
            DataError: If the file cannot be read.
        """
        self._listed()
        return self._camera_names

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names of the attributes in their order; empty without attributes."""
        return self.attribute_columns or super().attribute_names

    def _heading(self) -> str:
        return f"{' and '.join(str(self._file(file)) for file in self.files.values())} cannot be used as {self.title}"

    def _identity_of(self, sample: Sample) -> int:
        return self._identities[sample.path]

    def _file(self, name: str) -> Path:
        return path_on_disk(normalized_path(name, self.root))

    def _left_out(self, listing: DatasetListing) -> LeftOut:
        """Images that no line names, in the folders below the root that hold listed images, or next to one."""
        images = [*self._unused, *(sample.path for sample in (*listing.train, *listing.test))]
        paths = [*images, *map(self._file, self.files.values()), *([self.attributes] if self.attributes else [])]
        deep, flat = image_folders(images, self.root)
        left_out = LeftOut()
        left_out.update(listing.left_out)
        add_unlisted(deep, paths, "image that no line names", left_out)
        add_unlisted(flat, paths, "image that no line names", left_out, deep=False)
        for path in self._unused:
            left_out.add(path, f"image of the split {NONE}")
        return left_out

    def _scan(self) -> DatasetListing:
        self._check_files()
        self._unused = []
        findings = Findings()
        rows = [row for split, file in self.files.items() for row in self._read(file, split, findings)]
        rows = self._on_disk(rows, findings)
        identities = number_labels("identity", [(row.place, row.identity) for row in rows], 0, findings).numbers
        labels = number_labels("camera", [(row.place, row.camera) for row in rows], 1, findings)
        cameras, self._camera_names = labels.numbers, labels.names
        self._add_unmatched_words(findings)
        rows = [row for row in rows if row.identity in identities and row.camera in cameras]
        of_split = {split: [row for row in rows if row.split == split] for split in ("train", "test")}
        _check_identities(of_split, identities, findings)
        trained = sorted({identities[row.identity] for row in of_split["train"]})
        rank = {identity: label for label, identity in enumerate(trained)}
        self._identities = {self.root / row.path: identities[row.identity] for row in rows}

        def sample(row: Row, identity: int) -> Sample:
            path = self.root / row.path
            return Sample(path, identity, row.modality, cameras[row.camera], row.attributes, row.time)

        train = [sample(row, rank[identities[row.identity]]) for row in of_split["train"]]
        test = [sample(row, identities[row.identity]) for row in of_split["test"]]
        return DatasetListing(train, test, tuple(findings))

    def _check_files(self) -> None:
        if not self.root.is_dir():
            state = "is a file, not a folder" if self.root.exists() else "does not exist"
            hint = nearest(self.root.name, siblings(self.root))
            raise DataError(f"the data folder {self.root} {state} (DATA.ROOT){hint}")
        for split, name in self.files.items():
            file = self._file(name)
            if not file.is_file():
                key = f"DATA.{split.upper() or 'FILE'}"
                hint = nearest(file.name, siblings(file))
                raise DataError(f"{file} does not exist ({key} is relative to DATA.ROOT){hint}")

    def _read(self, name: str, split: str, findings: Findings) -> Iterator[Row]:
        """The rows of a file that can be parsed; `split` is that of the whole file, or "" if a column has it."""
        lines = csv_lines(self._file(name))
        header = [composed(cell.strip()) for cell in next(lines, (0, []))[1]]
        columns = self._header(header, name, split, findings)
        if columns is None:
            return
        number = 1
        for number, cells in lines:
            place = f"{name}:{number}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                text = f"{len(cells)} cells, but line 1 names {len(header)} columns"
                findings.add(text, place=place, kind="such lines")
                continue
            words = {role: cells[column].strip() for role, column in columns.items()}
            words = {role: word if role == "path" else composed(word) for role, word in words.items()}
            row = self._row(place, words, split, findings)
            if row is not None:
                yield row
        if number == 1:
            findings.add("there is no line below the names of the columns", place=name)

    def _add_unmatched_words(self, findings: Findings) -> None:
        """Add a fault for each word of `modalities` and `splits` that no line has."""
        for role, words in self._words.items():
            for word in self._added_words[role] if words else ():
                if str(word).lower() not in words:
                    findings.add(
                        f"no line has the {role} {word!r}",
                        place="DATA.MODALITIES" if role == "modality" else "DATA.SPLITS",
                        suggestion=closest(str(word), words),
                        note=f"(words of the column {self.columns[role]}: {listed(sorted(words)) or 'none'})",
                    )

    def _header(self, header: list[str], name: str, split: str, findings: Findings) -> dict[str, int] | None:
        """Role (or attribute) -> column; None and faults if columns are missing."""
        lower, before, place = [word.lower() for word in header], len(findings), f"{name}:1"
        wanted = {role: self.columns[role] for role in ROLES if not (role == "split" and split)}
        wanted |= {f"attribute {word}": word for word in self.attribute_columns}
        wanted = {role: composed(word) for role, word in wanted.items()}
        columns = {}
        for role, word in wanted.items():
            if word.lower() in lower:
                columns[role] = lower.index(word.lower())
            elif role != "time" or role in self._renamed:
                setting = f"; set DATA.COLUMNS.{role.upper()} to the right one" if role in ROLES else ""
                findings.add(
                    f"no column is named {word!r}",
                    place=place,
                    suggestion=closest(word, header),
                    note=f"(columns: {listed(header) or 'none'}){setting}",
                )
        repeated = sorted(
            {word for word in header if lower.count(word.lower()) > 1 and word.lower() in wanted.values()}
        )
        if repeated:
            findings.add(f"names of more than one column: {listed(repeated)}", place=place)
        return columns if len(findings) == before else None

    def _row(self, place: str, cells: Mapping[str, str], split: str, findings: Findings) -> Row | None:
        before = len(findings)
        for role in ("modality", "split"):
            self._words[role].add(cells.get(role, "").lower())
        used = split or _word(place, "split", cells["split"], self.splits, findings)
        if used == NONE:
            self._unused.append(self.root / cells["path"])
            return None
        if not cells["path"]:
            findings.add("the path is empty", place=place, kind="empty cells")
        for role in ("identity", "camera"):
            if fault := missing_fault(role, cells[role]):
                findings.add(fault, place=place, kind="empty cells")
        modality = _word(place, "modality", cells["modality"], self.modalities, findings)
        time = _time(place, cells.get("time", ""), findings)
        attributes = [_attribute(place, word, cells[f"attribute {word}"], findings) for word in self.attribute_columns]
        if len(findings) > before:
            return None
        known = tuple(attributes) if any(value != UNKNOWN for value in attributes) else None
        kind = Modality[str(modality).upper()]
        return Row(place, cells["path"], cells["identity"], cells["camera"], kind, str(used), time, known)

    def _on_disk(self, rows: Sequence[Row], findings: Findings) -> list[Row]:
        """The rows whose file exists, each file once."""
        files, first = Files(self.root), {}
        for row in rows:
            row = replace(row, path=files.on_disk(relative_path(row.path, self.root)))
            if not files.check(row.path, row.place, findings):
                continue
            other = first.setdefault(files.real(row.path), row)
            if other is not row:
                findings.add(
                    f"{row.path} is already listed in {other.place}",
                    place=row.place,
                    kind="repeated files",
                    path=self.root / row.path,
                )
        return list(first.values())


def _completed(
    name: str,
    changes: Mapping[str, str] | None,
    defaults: Mapping[str, str],
    known: Sequence[str],
    keys: Sequence[str] = (),
) -> dict[str, str]:
    """The defaults with some changes, keys in lower case; ArgumentError for unknown keys or values."""
    out = dict(defaults)
    for key, value in (changes or {}).items():
        role, value = composed(str(key).lower()), str(value)
        if keys and role not in keys:
            raise ArgumentError(name, f"has no key {key!r}{nearest(role, keys)} (known: {', '.join(keys)})")
        if not keys and value not in known:
            raise ArgumentError(name, f"maps {key!r} to {value!r}{nearest(value, known)} (known: {', '.join(known)})")
        out[role] = value
    return out


def _word(place: str, role: str, cell: str, known: Mapping[str, str], findings: Findings) -> str | None:
    """The value of a word of the file; None and a fault for an unknown word."""
    if cell.lower() not in known:
        setting = "DATA.MODALITIES" if role == "modality" else "DATA.SPLITS"
        findings.add(
            f"{role} {cell!r} is unknown",
            place=place,
            kind=f"unknown words for {role}",
            suggestion=closest(cell, known),
            note=f"(known: {', '.join(known)}; {setting} adds words)",
        )
        return None
    return known[cell.lower()]


def _time(place: str, cell: str, findings: Findings) -> float | None:
    try:
        return seconds_of(cell)
    except ValueError as error:
        findings.add(str(error), place=place, kind="such times")
        return None


def _attribute(place: str, word: str, cell: str, findings: Findings) -> int:
    try:
        return attribute_value(cell)
    except ValueError as error:
        findings.add(f"{word}: {error}", place=place, kind="wrong attributes")
        return UNKNOWN


def _check_identities(of_split: Mapping[str, Sequence[Row]], identities: Mapping[str, int], findings: Findings) -> None:
    """Add faults of the splits: empty ones, identities in both, training identities without one of the modalities."""
    sound = not findings
    words = {
        (split, modality): {identities[row.identity]: row.identity for row in rows if row.modality == modality}
        for split, rows in of_split.items()
        for modality in Modality
    }
    for (split, modality), present in words.items():
        if not present and sound:
            findings.add(f"no {modality.name.lower()} image has the split {split}")
    train = words["train", Modality.VISIBLE] | words["train", Modality.INFRARED]
    test = words["test", Modality.VISIBLE] | words["test", Modality.INFRARED]
    if both := sorted(set(train) & set(test)):
        first = [
            {identities[row.identity]: row.place for row in reversed(of_split[split])} for split in ("train", "test")
        ]
        lines = [f"{train[identity]} ({', '.join(places[identity] for places in first)})" for identity in both]
        findings.add(f"identities in both splits: {listed(lines)}; an identity is for training or for test")
    for modality in Modality:
        if (missing := sorted(set(train) - set(words["train", modality]))) and sound:
            names = listed(train[identity] for identity in missing)
            word = modality.name.lower()
            findings.add(f"training identities without {word} images: {names}; add images or remove the identities")
