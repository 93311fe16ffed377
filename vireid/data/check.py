"""Check a dataset: report every fault of its listing, of each image and of its attributes."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vireid.core.errors import DataError, Finding, Severity, finding_lines
from vireid.core.interfaces import Dataset
from vireid.core.progress import progress_bar
from vireid.core.text import align_columns, counted
from vireid.core.types import Modality, Sample
from vireid.data.attributes import UNKNOWN
from vireid.data.findings import findings_of
from vireid.data.images.decode import mode_fault, read_image
from vireid.data.images.depth import DepthMapping
from vireid.data.images.digests import changed_unnoticed, content_digest, unusable
from vireid.data.images.image_files import reason_lines
from vireid.data.listing import DatasetListing, identities_without, list_dataset
from vireid.data.rows import open_array, open_rows, row_of

_SHOWN = 20  # findings of one kind in the text; the JSON file has all
_CHUNK = 256


@dataclass(frozen=True)
class Section:
    """Findings of a report under one heading."""

    heading: str
    findings: Sequence[Finding]

    @property
    def severity(self) -> Severity:
        """The severity of its findings."""
        return self.findings[0].severity if self.findings else "note"

    def to_text(self) -> list[str]:
        """Format the heading and the first findings of each kind, with the number of the others."""
        if self.severity == "left out":
            lines = [f"- {line}" for line in reason_lines(self.findings)]
        else:
            lines = finding_lines(self.findings, most=_SHOWN)
        return [f"  {self.heading}", *(f"    {line}".replace("\n", "\n      ") for line in lines)]

    def to_json(self) -> dict[str, Any]:
        """The heading and all findings."""
        lines = [str(finding) for finding in self.findings]
        return {"title": self.heading, "total": len(lines), "lines": lines}


@dataclass(frozen=True)
class Count:
    """One line of the table of counts; `annotated` counts images with attributes."""

    images: int
    identities: int
    visible: int
    infrared: int
    annotated: int


@dataclass(frozen=True)
class DatasetReport:
    """Result of `check_dataset`.

    Args:
        counts: Split -> "all", "camera 1 (visible)", ... -> counts.
        sections: Findings by heading.
        images_opened: Whether each image was read.
    """

    counts: Mapping[str, Mapping[str, Count]]
    sections: Sequence[Section]
    images_opened: bool

    @property
    def faults(self) -> list[Section]:
        """The sections because of which training is refused."""
        return [section for section in self.sections if section.severity == "fault"]

    @property
    def notes(self) -> list[Section]:
        """The other sections."""
        return [section for section in self.sections if section.severity != "fault"]

    @property
    def usable(self) -> bool:
        """Whether training can start."""
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        """The whole report with complete lists."""
        return {
            "usable": self.usable,
            "looked_at_images": self.images_opened,
            "counts": {
                split: {name: vars(count) for name, count in table.items()} for split, table in self.counts.items()
            },
            "faults": [section.to_json() for section in self.faults],
            "notes": [section.to_json() for section in self.notes],
        }

    def to_text(self) -> str:
        """Format the report for a terminal."""
        lines = self._table()
        if self.faults:
            lines += ["", "Training cannot work:"]
            lines += [line for section in self.faults for line in section.to_text()]
        if self.notes:
            lines += ["", "Worth knowing:"]
            lines += [line for section in self.notes for line in section.to_text()]
        opened = "" if self.images_opened else " No image was opened."
        if self.usable:
            return "\n".join([*lines, "", f"No fault was found: training can work.{opened}"])
        total = counted(sum(len(section.findings) for section in self.faults), "fault")
        return "\n".join([*lines, "", f"{total}: training cannot work.{opened}"])

    def _table(self) -> list[str]:
        rows: list[tuple[str, ...]] = [("", "images", "identities", "visible", "infrared", "with attributes")]
        for split, table in self.counts.items():
            for name, count in table.items():
                label = split if name == "all" else f"  {name}"
                rows.append((label, *(str(number) for number in vars(count).values())))
        return align_columns(rows, numbers=True)


Validate = Callable[[DatasetListing], Sequence[Finding]]


def check_dataset(
    dataset: Dataset,
    *,
    size: tuple[int, int],
    images: bool = True,
    workers: int = 0,
    depth: DepthMapping | None = None,
    cache: Path | None = None,
    validate: Validate | None = None,
) -> DatasetReport:
    """Check everything that training and evaluation read. Raises no DataError: all faults are in the report.

    Args:
        dataset: The dataset.
        size: (H, W) of the images in training.
        images: Whether each image is read, which takes as long as the first run of a training.
        workers: Reading threads; 0: one for each core.
        depth: How gray images of more than 8 bits become 8 bits (DATA.DEPTH); None: they are refused.
        cache: Folder of the image cache (CACHE_DIR), whose list of content digests is compared with the images.
        validate: What training checks in a listing without faults, such as the evaluation protocols
            (`vireid.config.validate.listing_findings`).
    """
    listing = list_dataset(dataset)
    faults = [Section("Faults of the listing:", listing.findings)]
    notes = [_test_identities(listing), *_attributes(listing), _left_out(listing)]
    if validate is not None and not listing.findings:
        findings = validate(listing)
        wrong = [finding for finding in findings if finding.severity == "fault"]
        faults.append(Section("What the settings need and the images do not have:", wrong))
        remarks = [finding for finding in findings if finding.severity != "fault"]
        notes = [Section("Evaluation protocols:", remarks), *notes]
    faults.append(_arrays(listing, size))
    if images:
        unreadable, about_images = _open_all(listing, workers, depth, cache)
        faults.append(unreadable)
        notes = about_images + notes
    return DatasetReport(
        {name: _counts(samples, listing.camera_names) for name, samples in listing.splits().items()},
        [section for section in (*faults, *notes) if section.findings],
        images,
    )


def _note(text: str, kind: str, *, place: str = "", path: Path | None = None) -> Finding:
    return Finding(text, place=place, kind=kind, path=path, severity="note")


def _counts(samples: Sequence[Sample], names: Mapping[int, str]) -> dict[str, Count]:
    by_camera: dict[tuple[int, Modality], list[Sample]] = {}
    for sample in samples:
        by_camera.setdefault((sample.camera, sample.modality), []).append(sample)
    table = {"all": _count(samples)}
    for (camera, modality), part in sorted(by_camera.items()):
        name = f"{names[camera]}, " if camera in names else ""
        table[f"camera {camera} ({name}{modality.name.lower()})"] = _count(part)
    return table


def _count(samples: Sequence[Sample]) -> Count:
    modalities = Counter(sample.modality for sample in samples)
    return Count(
        len(samples),
        len({sample.identity for sample in samples}),
        modalities[Modality.VISIBLE],
        modalities[Modality.INFRARED],
        sum(sample.attributes is not None and set(sample.attributes) != {UNKNOWN} for sample in samples),
    )


def _test_identities(listing: DatasetListing) -> Section:
    findings = [
        _note(f"no {modality.name.lower()} image", "identities", place=f"identity {identity}")
        for modality, identities in identities_without(listing.test).items()
        for identity in identities
    ]
    return Section("Test identities in one modality only; they have no correct gallery image in the other:", findings)


def _left_out(listing: DatasetListing) -> Section:
    return Section("Files and folders that are not used:", listing.left_out.findings())


def _attributes(listing: DatasetListing) -> list[Section]:
    """Images without a row of the attribute table, and rows without an image."""
    samples = [*listing.train, *listing.test]
    unannotated = [sample for sample in samples if sample.attributes is None]
    if listing.table is None and len(unannotated) == len(samples):
        return []
    folders = Counter(str(sample.path.parent) for sample in unannotated)
    by_folder = [_note(counted(number, "image"), "folders", place=folder) for folder, number in folders.items()]
    sections = [Section("Images without attributes (unknown in training, by folder):", by_folder)]
    if listing.table is not None and listing.identity_of is not None and not listing.findings:
        keys = {(camera, listing.identity_of(sample)) for sample in samples for camera in (sample.camera, None)}
        unused = [
            _note(
                f"identity {identity}" + ("" if camera is None else f", camera {camera}"),
                "rows",
                place=listing.table.places[camera, identity],
            )
            for camera, identity in listing.table.rows
            if (camera, identity) not in keys
        ]
        sections.append(Section("Rows of attributes without an image:", unused))
    return sections


def _arrays(listing: DatasetListing, size: tuple[int, int]) -> Section:
    """Arrays of images that cannot be used."""
    findings: list[Finding] = []
    for samples in listing.splits().values():
        try:
            open_rows(samples, size=size)
        except DataError as error:
            findings += findings_of(error)
    return Section("Faults of arrays of images:", list(dict.fromkeys(findings)))


def _open_all(
    listing: DatasetListing, workers: int, depth: DepthMapping | None, cache: Path | None
) -> tuple[Section, list[Section]]:
    """Images that cannot be used; their color modes, files that changed unnoticed, groups of the same content."""
    splits: dict[Path, list[tuple[str, Sample]]] = {}
    for split, samples in listing.splits().items():
        for sample in samples:
            splits.setdefault(sample.path, []).append((split, sample))
    reported = {finding.path for finding in listing.findings}
    broken: list[Finding] = []
    contents: dict[str, list[Path]] = {}
    modes: dict[str, list[Path]] = {}
    digests: dict[str, str] = {}
    paths = list(splits)
    arrays = _open_arrays(paths)
    with (
        ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool,
        progress_bar(len(paths), "checking images") as done,
    ):
        for start in range(0, len(paths), _CHUNK):
            chunk = paths[start : start + _CHUNK]
            for path, image in zip(chunk, pool.map(lambda path: _read(path, arrays, depth), chunk)):
                if image.fault and path not in reported:
                    broken.append(unusable(path, image.fault))
                if image.refused_mode:
                    modes.setdefault(image.refused_mode, []).append(path)
                if image.digest and not image.fault:
                    contents.setdefault(image.digest, []).append(path)
                if image.digest and row_of(path) is None:
                    digests[os.path.abspath(path)] = image.digest
            done(len(chunk))
    unreadable = Section(f"Images that cannot be used (of {len(paths)}); replace or remove them:", broken)
    groups = [[splits[path][0] for path in group] for group in contents.values() if len(group) > 1]
    changed = [] if cache is None else changed_unnoticed(Path(cache).expanduser(), digests)
    return unreadable, [_by_mode(modes), _changed(changed), *_duplicates(groups)]


def _by_mode(modes: Mapping[str, Sequence[Path]]) -> Section:
    findings = [
        _note(f"{counted(len(paths), 'image')} of {mode_fault(mode)} (first: {paths[0]})", "color modes")
        for mode, paths in sorted(modes.items())
    ]
    return Section("Color modes of the images that cannot be used:", findings)


def _changed(paths: Sequence[str]) -> Section:
    heading = "Files that were changed although size and times are the same; the next run decodes them again:"
    return Section(heading, [_note(path, "files", path=Path(path)) for path in paths])


def _open_arrays(paths: Iterable[Path]) -> dict[Path, Any]:
    """The arrays that some paths are rows of; `_arrays` reports those that cannot be opened."""
    arrays = {}
    for file in dict.fromkeys(location[0] for location in map(row_of, paths) if location is not None):
        try:
            arrays[file] = open_array(file)
        except DataError:
            continue
    return arrays


@dataclass(frozen=True, slots=True)
class _Image:
    """Digest of the content (empty if it cannot be read), and what is wrong with an image."""

    digest: str = ""
    fault: str = ""
    refused_mode: str = ""


def _read(path: Path, arrays: Mapping[Path, Any], depth: DepthMapping | None) -> _Image:
    location = row_of(path)
    if location is not None:
        file, row = location
        exists = file in arrays and row < len(arrays[file])
        return _Image(content_digest(arrays[file][row].tobytes()) if exists else "")
    try:
        content = path.read_bytes()
    except OSError as error:
        return _Image(fault=error.strerror or str(error))
    reading = read_image(io.BytesIO(content), depth=depth)
    return _Image(content_digest(content), reading.fault, reading.refused_mode)


def _duplicates(groups: Sequence[Sequence[tuple[str, Sample]]]) -> list[Section]:
    """Groups of images of the same content, the most serious kind first; a group is in one section only."""
    across_splits, across_identities, others = [], [], []
    for group in groups:
        finding = _note(" = ".join(str(sample.path) for _, sample in group), "groups", path=group[0][1].path)
        if len({split for split, _ in group}) > 1:
            across_splits.append(finding)
        elif len({sample.identity for _, sample in group}) > 1:
            across_identities.append(finding)
        else:
            others.append(finding)
    return [
        Section("The same image in training and in test; results are not valid for it:", across_splits),
        Section("The same image under different identities:", across_identities),
        Section("The same image more than once:", others),
    ]
