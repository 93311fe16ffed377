"""List the images of a gallery or of a search: a folder, a CSV file or a single image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vireid.core.errors import DataError, UserError, nearest
from vireid.core.paths import normalized_path, real_path
from vireid.core.types import Modality, Sample
from vireid.data.datasets.csv_text import MODALITIES, csv_lines, seconds_of
from vireid.data.images.image_files import IMAGE_SUFFIXES, LeftOut, find_images
from vireid.gallery.store import UNKNOWN

LARGEST = 2**63 - 1  # integers are stored as int64
FAULTS = 20  # bad lines that an error lists


@dataclass(frozen=True)
class Known:
    """Default values for images whose list does not have them."""

    modality: str | None = None
    camera: int = UNKNOWN
    identity: int = UNKNOWN


@dataclass(frozen=True)
class Listing:
    """Images by their real paths, each file once, and the files that were left out."""

    samples: list[Sample]
    left_out: LeftOut = field(default_factory=LeftOut)


def images_of(place: Path, known: Known) -> list[Sample]:
    """Return the images of `listed_images`."""
    return listed_images(place, known).samples


def listed_images(place: Path, known: Known) -> Listing:
    """List the images of a CSV file, below a folder (sorted by path), or a single image.

    Columns of a CSV file: path (relative to its folder, or absolute), and optionally identity, camera (integers),
    modality (visible or infrared) and time (seconds, or 2024-05-31T10:20:30).

    Raises:
        UserError: If the place does not exist.
        DataError: With every line that cannot be used. A file that is listed twice must have the same values.
    """
    place = normalized_path(place)
    if not place.exists():
        place = real_path(place)  # may differ by its Unicode normalization
        if not place.exists():
            siblings = [other.name for other in place.parent.iterdir()] if place.parent.is_dir() else []
            raise UserError(f"{place} does not exist{nearest(place.name, siblings)}")
    if place.is_dir():
        return _of_folder(place, known)
    if place.suffix.lower() == ".csv":
        return _of_csv(place, known)
    return Listing([_sample(real_path(place), {}, known)])


def _of_folder(place: Path, known: Known) -> Listing:
    files, left_out = find_images(place)
    samples: dict[Path, Sample] = {}
    for file in files:
        path = real_path(file)
        if path in samples:
            left_out.add(file, "link to a file that is listed already")
        else:
            samples[path] = _sample(path, {}, known)
    if not samples:
        raise DataError(
            "\n  ".join([f"{place} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})", *left_out.lines()])
        )
    return Listing(list(samples.values()), left_out)


def _of_csv(file: Path, known: Known) -> Listing:
    samples: dict[Path, tuple[int, Sample]] = {}
    faults, left_out = [], LeftOut()
    lines = csv_lines(file)
    header = [cell.strip().lower() for cell in next(lines, (0, []))[1]]
    if "path" not in header:
        raise DataError(
            f"{file}: no column is named 'path'{nearest('path', header)} (columns: {', '.join(header) or 'none'})"
        )
    for role in ("path", "identity", "camera", "modality", "time"):
        if header.count(role) > 1:
            raise DataError(f"{file}: {header.count(role)} columns are named {role!r}")
    for number, words in lines:
        if not any(words):
            continue
        try:
            if len(words) != len(header):
                raise UserError(f"{len(words)} cells, but line 1 names {len(header)} columns")
            cells = dict(zip(header, (word.strip() for word in words)))
            if not cells["path"]:
                raise UserError("the path is empty")
            sample = _sample(real_path(cells["path"], base=file.parent), cells, known)
            first, other = samples.setdefault(sample.path, (number, sample))
            if other is not sample:
                if other != sample:
                    raise UserError(f"{cells['path']} is the file of line {first}, which has other values")
                left_out.add(sample.path, "listed more than once")
        except UserError as error:
            faults.append(f"line {number}: {error}")
    if faults:
        raise DataError("\n  - ".join([f"{file} has {len(faults)} lines that cannot be used:", *faults[:FAULTS]]))
    if not samples:
        raise DataError(f"{file} lists no images")
    return Listing([sample for _, sample in samples.values()], left_out)


def _sample(path: Path, cells: Mapping[str, str], known: Known) -> Sample:
    word = cells.get("modality") or known.modality
    if word is None:
        raise UserError("the modality is unknown: add a column `modality`, or set it for all images with --modality")
    identity, camera = cells.get("identity"), cells.get("camera")
    return Sample(
        path=path,
        identity=whole_number("identity", identity) if identity else known.identity,
        modality=modality_of(word),
        camera=whole_number("camera", camera) if camera else known.camera,
        time=seconds_of(cells.get("time", "")),
    )


def modality_of(word: str) -> Modality:
    """Parse a modality; UserError with the nearest known word."""
    if word.lower() not in MODALITIES:
        raise UserError(f"modality {word!r} is unknown{nearest(word, MODALITIES)} (known: {', '.join(MODALITIES)})")
    return Modality[MODALITIES[word.lower()].upper()]


def whole_number(role: str, word: str) -> int:
    """Parse an identity or a camera: `3`, or `3.0` as pandas writes it.

    >>> whole_number("camera", "3.0")
    3
    """
    if not re.fullmatch(r"[0-9]+(\.0*)?", word):
        raise UserError(f"{role} {word!r} is not an integer")
    number = int(word.split(".")[0])
    if number > LARGEST:
        raise UserError(f"{role} {word} is larger than {LARGEST}, the largest number that can be stored")
    return number
