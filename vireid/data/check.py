"""Everything that is wrong with a data set in one report: its listing, each of its images, its attributes."""

from __future__ import annotations

import errno
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vireid.core.errors import DataError
from vireid.core.interfaces import Dataset
from vireid.core.progress import progress_bar
from vireid.core.types import Modality, Sample
from vireid.data.attributes import UNKNOWN
from vireid.data.faults import counted, faults_of
from vireid.data.images.decode import mode_fault, read_image
from vireid.data.images.depth import DepthMapping
from vireid.data.images.digests import changed_unnoticed, content_digest
from vireid.data.rows import open_array, open_rows, row_of
from vireid.data.survey import Survey, one_modality, require_listing, survey

_SHOWN = 20  # lines of one finding in the text; the JSON file has all
_CHUNK = 256


@dataclass(frozen=True)
class Finding:
    """Things of one kind that are wrong or worth knowing."""

    title: str  # a sentence without its number
    lines: tuple[str, ...]
    shortened: tuple[str, ...] | None = None  # what is shown in place of the first lines

    def to_text(self) -> list[str]:
        """The title and the first lines, with the number of those left out."""
        more = 0 if self.shortened is not None else len(self.lines) - _SHOWN
        lines = self.lines[:_SHOWN] if self.shortened is None else self.shortened
        shown = [f"    - {line}".replace("\n", "\n      ") for line in lines]
        return [f"  {self.title}", *shown, *([f"      ... and {more} more"] if more > 0 else [])]


@dataclass(frozen=True)
class Count:
    """One line of the table of counts."""

    images: int
    identities: int
    visible: int
    infrared: int
    annotated: int  # images with attributes


@dataclass(frozen=True)
class Check:
    """What a data set holds, why training would be refused (`faults`), and what one should know (`notes`)."""

    counts: Mapping[str, Mapping[str, Count]]  # split -> "all", "camera 1 (visible)", ... -> numbers
    faults: Sequence[Finding]
    notes: Sequence[Finding]
    looked_at_images: bool

    @property
    def usable(self) -> bool:
        """Whether training can work."""
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        """The whole report, lists uncut."""
        return {
            "usable": self.usable,
            "looked_at_images": self.looked_at_images,
            "counts": {
                split: {name: vars(count) for name, count in table.items()} for split, table in self.counts.items()
            },
            "faults": [{"title": f.title, "total": len(f.lines), "lines": list(f.lines)} for f in self.faults],
            "notes": [{"title": f.title, "total": len(f.lines), "lines": list(f.lines)} for f in self.notes],
        }

    def to_text(self) -> str:
        """The report for people."""
        lines = self._table()
        if self.faults:
            lines += ["", "Training cannot work:"]
            lines += [line for finding in self.faults for line in finding.to_text()]
        if self.notes:
            lines += ["", "Worth knowing:"]
            lines += [line for finding in self.notes for line in finding.to_text()]
        opened = "" if self.looked_at_images else " No image was opened."
        if self.usable:
            return "\n".join([*lines, "", f"No fault was found: training can work.{opened}"])
        total = counted(sum(len(finding.lines) for finding in self.faults), "fault")
        return "\n".join([*lines, "", f"{total}: training cannot work.{opened}"])

    def _table(self) -> list[str]:
        rows: list[tuple[str, ...]] = [("", "images", "identities", "visible", "infrared", "with attributes")]
        for split, table in self.counts.items():
            for name, count in table.items():
                label = split if name == "all" else f"  {name}"
                rows.append((label, *(str(number) for number in vars(count).values())))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


Validate = Callable[[Survey], tuple[Sequence[str], Sequence[str]]]  # a sound listing -> faults, notes


def check_dataset(
    dataset: Dataset,
    *,
    size: tuple[int, int],
    images: bool = True,
    workers: int = 0,
    depth: DepthMapping | None = None,
    cache: Path | None = None,
    validate: Validate | None = None,
) -> Check:
    """Look at everything that training and evaluation would read. Raises no DataError: what is wrong is in the report.

    Args:
        dataset: The dataset.
        size: (H, W) of the images in training.
        images: Whether each image is read, which takes as long as the first run of a training.
        workers: Threads that do so; 0: one for each core.
        depth: How gray images of more than 8 bits become 8 bits (DATA.DEPTH); None: they are refused.
        cache: Folder of the image cache (CACHE_DIR), whose list of content digests is compared with the images.
        validate: What training would check of a sound listing, such as the evaluation protocols
            (`vireid.config.validate.listing_findings`).
    """
    found = survey(dataset)
    faults = [Finding("Faults of the listing:", tuple(found.faults), _shortened(dataset))]
    notes = [_one_modality_in_test(found), *_attributes(found), _left_out(found)]
    if validate is not None and not found.faults:
        wrong, remarks = validate(found)
        faults.append(Finding("What the settings need and the images do not have:", tuple(wrong)))
        notes = [Finding("Evaluation protocols:", tuple(remarks)), *notes]
    faults += _arrays(found, size)
    if images:
        unreadable, about_images = _open_all(found, workers, depth, cache)
        faults.append(unreadable)
        notes = about_images + notes
    return Check(
        {name: _counts(samples, found.camera_names) for name, samples in found.splits().items()},
        [finding for finding in faults if finding.lines],
        [finding for finding in notes if finding.lines],
        images,
    )


def _shortened(dataset: Dataset) -> tuple[str, ...] | None:
    """The faults as training would tell them: a few of each kind, where there are many."""
    try:
        require_listing(dataset)
    except DataError as error:
        return tuple(faults_of(error))
    return None


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


def _one_modality_in_test(found: Survey) -> Finding:
    lines = [
        f"identity {identity}: no {modality.name.lower()} image"
        for modality, identities in one_modality(found.test).items()
        for identity in identities
    ]
    return Finding(
        "Test identities in one modality only; as a query they have no answer, as an answer no query:", tuple(lines)
    )


def _left_out(found: Survey) -> Finding:
    """Files and folders of the data set that are not used, by reason."""
    left_out = found.left_out
    return Finding("Files and folders that are not used:", tuple(left_out.texts()), tuple(left_out.lines()))


def _attributes(found: Survey) -> list[Finding]:
    """Rows of the table that no image needs, and images that no row is for."""
    samples = [*found.train, *found.test]
    bare = [sample for sample in samples if sample.attributes is None]
    if found.table is None and len(bare) == len(samples):
        return []
    folders = Counter(str(sample.path.parent) for sample in bare)
    lines = tuple(f"{folder}: {counted(number, 'image')}" for folder, number in folders.items())
    findings = [Finding("Images without attributes (unknown in training, by folder):", lines)]
    if found.table is not None and found.person is not None and not found.faults:
        people = {(camera, found.person(sample)) for sample in samples for camera in (sample.camera, None)}
        idle = [key for key in found.table.rows if key not in people]
        findings.append(
            Finding(
                "Rows of attributes without an image:",
                tuple(
                    f"{found.table.places[key]}: identity {key[1]}" + ("" if key[0] is None else f", camera {key[0]}")
                    for key in idle
                ),
            )
        )
    return findings


def _arrays(found: Survey, size: tuple[int, int]) -> list[Finding]:
    """Arrays of images that do not fit."""
    faults = []
    for samples in found.splits().values():
        try:
            open_rows(samples, size=size)
        except DataError as error:
            faults += faults_of(error)
    return [Finding("Faults of arrays of images:", tuple(dict.fromkeys(faults)))]


def _open_all(
    found: Survey, workers: int, depth: DepthMapping | None, cache: Path | None
) -> tuple[Finding, list[Finding]]:
    """Images that cannot be used; their color modes, files that changed unnoticed, groups of the same content."""
    splits: dict[Path, list[tuple[str, Sample]]] = {}
    for split, samples in found.splits().items():
        for sample in samples:
            splits.setdefault(sample.path, []).append((split, sample))
    broken: list[str] = []
    contents: dict[str, list[Path]] = {}
    modes: dict[str, list[Path]] = {}
    digests: dict[str, str] = {}
    paths = list(splits)
    arrays = _opened(paths)
    with (
        ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool,
        progress_bar(len(paths), "checking images") as done,
    ):
        for start in range(0, len(paths), _CHUNK):
            chunk = paths[start : start + _CHUNK]
            for path, seen in zip(chunk, pool.map(lambda path: _look(path, arrays, depth), chunk)):
                if seen.fault and not _said(path, seen.fault, found.faults):
                    broken.append(f"{path}: {seen.fault}")
                if seen.refused_mode:
                    modes.setdefault(seen.refused_mode, []).append(path)
                if seen.digest and not seen.fault:
                    contents.setdefault(seen.digest, []).append(path)
                if seen.digest and row_of(path) is None:
                    digests[os.path.abspath(path)] = seen.digest
            done(len(chunk))
    unreadable = Finding(f"Images that cannot be used (of {len(paths)}); replace or remove them:", tuple(broken))
    groups = [[splits[path][0] for path in group] for group in contents.values() if len(group) > 1]
    changed = [] if cache is None else changed_unnoticed(Path(cache).expanduser(), digests)
    return unreadable, [_by_mode(modes), _changed(changed), *_alike(groups)]


def _by_mode(modes: Mapping[str, Sequence[Path]]) -> Finding:
    lines = [
        f"{counted(len(paths), 'image')} of {mode_fault(mode)} (first: {paths[0]})"
        for mode, paths in sorted(modes.items())
    ]
    return Finding("Color modes of the images that cannot be used:", tuple(lines))


def _changed(paths: Sequence[str]) -> Finding:
    title = "Files that were changed although size and times are the same; the next run decodes them again:"
    return Finding(title, tuple(paths))


def _said(path: Path, fault: str, faults: Sequence[str]) -> bool:
    """Whether the listing already named a file that is not there, by its last two names."""
    if fault != os.strerror(errno.ENOENT):
        return False
    tail = "/".join(path.parts[-2:])
    return any(tail in text for text in faults)


def _opened(paths: Iterable[Path]) -> dict[Path, Any]:
    """The arrays of which some paths are rows; those that cannot be opened are reported elsewhere."""
    arrays = {}
    for file in dict.fromkeys(place[0] for place in map(row_of, paths) if place is not None):
        try:
            arrays[file] = open_array(file)
        except DataError:
            continue
    return arrays


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found in an image: digest of its content (empty if it cannot be read), and what is wrong with it."""

    digest: str = ""
    fault: str = ""
    refused_mode: str = ""


def _look(path: Path, arrays: Mapping[Path, Any], depth: DepthMapping | None) -> _Look:
    place = row_of(path)
    if place is not None:
        file, row = place
        sound = file in arrays and row < len(arrays[file])
        return _Look(content_digest(arrays[file][row].tobytes()) if sound else "")
    try:
        content = path.read_bytes()
    except OSError as error:
        return _Look(fault=error.strerror or str(error))
    reading = read_image(io.BytesIO(content), depth=depth)
    return _Look(content_digest(content), reading.fault, reading.refused_mode)


def _alike(groups: Sequence[Sequence[tuple[str, Sample]]]) -> list[Finding]:
    """Groups of images of the same content, the gravest kind first; a group is in one finding only."""
    across, people, plain = [], [], []
    for group in groups:
        line = " = ".join(str(sample.path) for _, sample in group)
        if len({split for split, _ in group}) > 1:
            across.append(line)
        elif len({sample.identity for _, sample in group}) > 1:
            people.append(line)
        else:
            plain.append(line)
    return [
        Finding("The same image in training and in test; results mean nothing for it:", tuple(across)),
        Finding("The same image under different identities:", tuple(people)),
        Finding("The same image more than once:", tuple(plain)),
    ]
