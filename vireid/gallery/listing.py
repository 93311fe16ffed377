"""Which images a gallery is built from, or asked with: a folder, a CSV file, or single images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vireid.core.errors import DataError, UserError, nearest
from vireid.core.types import Modality, Sample
from vireid.data.datasets.csv import MODALITIES, csv_lines, seconds_of
from vireid.retrieval.store import UNKNOWN

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Known:
    """What is said of all images at once, where their list does not say it."""

    modality: str | None = None
    camera: int = UNKNOWN
    identity: int = UNKNOWN


def images_of(place: Path, known: Known) -> list[Sample]:
    """The images of a CSV file, below a folder (sorted by path), or a single image.

    The columns of a CSV file: path (relative to its folder, or absolute), and where known identity, camera (whole
    numbers), modality (visible or infrared) and time (seconds, or 2024-05-31T10:20:30).
    Errors: DataError with every line that cannot be used.
    """
    if not place.exists():
        raise UserError(f"{place} does not exist")
    if place.suffix.lower() == ".csv":
        return _of_csv(place, known)
    if place.is_dir():
        found = sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not found:
            raise DataError(f"{place} holds no images ({', '.join(SUFFIXES)})")
        return [_sample(path, {}, known) for path in found]
    return [_sample(place, {}, known)]


def _of_csv(file: Path, known: Known) -> list[Sample]:
    samples, faults = [], []
    lines = csv_lines(file)
    header = [cell.strip().lower() for cell in next(lines, (0, []))[1]]
    if "path" not in header:
        raise DataError(
            f"{file}: no column is named 'path'{nearest('path', header)} (columns: {', '.join(header) or 'none'})"
        )
    for number, words in lines:
        if not any(words):
            continue
        try:
            if len(words) != len(header):
                raise UserError(f"{len(words)} cells, but line 1 names {len(header)} columns")
            cells = dict(zip(header, (word.strip() for word in words)))
            if not cells["path"]:
                raise UserError("it has no path")
            samples.append(_sample(file.parent / cells["path"], cells, known))
        except UserError as error:
            faults.append(f"line {number}: {error}")
    if faults:
        raise DataError("\n  - ".join([f"{file} has {len(faults)} lines that cannot be used:", *faults[:20]]))
    if not samples:
        raise DataError(f"{file} lists no images")
    return samples


def _sample(path: Path, cells: Mapping[str, str], known: Known) -> Sample:
    word = cells.get("modality") or known.modality
    if word is None:
        raise UserError("the modality is not known: name it in the column `modality`, or for all with --modality")
    if word.lower() not in MODALITIES:
        raise UserError(f"modality {word!r} is unknown{nearest(word, MODALITIES)} (known: {', '.join(MODALITIES)})")
    return Sample(
        path=path,
        identity=_number("identity", cells.get("identity"), known.identity),
        modality=Modality[MODALITIES[word.lower()].upper()],
        camera=_number("camera", cells.get("camera"), known.camera),
        time=seconds_of(cells.get("time", "")),
    )


def _number(role: str, cell: str | None, otherwise: int) -> int:
    if not cell:
        return otherwise
    if not cell.isdecimal():
        raise UserError(f"{role} {cell!r} is not a whole number")
    return int(cell)


def absent(samples: Sequence[Sample], paths: set[str]) -> list[Sample]:
    """Those that are not among the paths; a path that is listed twice counts once."""
    seen, out = set(paths), []
    for sample in samples:
        if str(sample.path) not in seen:
            seen.add(str(sample.path))
            out.append(sample)
    return out
