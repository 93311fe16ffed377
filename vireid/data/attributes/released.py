"""The eight attributes of SYSU-MM01 as released with PAENet: one MATLAB file for each camera."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from vireid.core.errors import DataError
from vireid.core.text import counted, listed
from vireid.data.attributes.sheets import read_attributes
from vireid.data.attributes.table import AttributeTable, Key
from vireid.data.findings import Findings, findings_of, with_place

# What a 1 means. The release stores no names; these follow the paper's list, checked against its second label file.
SYSU_NAMES = ("female", "long_hair", "glasses", "long_sleeves", "skirt", "long_legwear", "backpack", "satchel")
NUM_ATTRIBUTES = len(SYSU_NAMES)
_FILES = tuple(f"cam{camera}_att.mat" for camera in range(1, 7))
_DEPTH = 3  # levels of folders that are searched for the files
_SHEETS = frozenset({".csv", ".xlsx", ".tsv", ".txt"})

CameraFiles = dict[str, dict[str, bytes | str]]  # file name -> location -> its content, or why it cannot be read


def read_sysu_attributes(place: Path) -> AttributeTable:
    """Read attributes of SYSU-MM01: the released files, or a .csv or .xlsx table (`read_attributes`).

    Args:
        place: Folder or zip that holds `cam{1..6}_att.mat`, directly or in folders inside. Each file has one variable
            `cam{n}_att`, shape (8, identities), row = attribute, column = identity - 1. A column of ones means "not
            labeled" and is omitted; a column of zeros is a labeled identity.

    Raises:
        DataError: With every file that is missing, damaged, of another shape, or exists twice.
    """
    if place.suffix.lower() in _SHEETS and not place.is_dir():
        return read_attributes(place)
    files = _contents(place)
    rows: dict[Key, tuple[int, ...]] = {}
    places: dict[Key, str] = {}
    findings = Findings()
    for camera, file in enumerate(_FILES, start=1):
        try:
            values = _matrix(files, file)
        except DataError as error:
            findings.extend(with_place(findings_of(error), file))
            continue
        for column in np.flatnonzero(~values.all(axis=0)).tolist():
            rows[camera, column + 1] = tuple(values[:, column].tolist())
            places[camera, column + 1] = f"{file}, column {column + 1}"
    if not rows and not findings:
        findings.add("no column is labeled: all of them hold only ones")
    findings.raise_if_any(f"{place} cannot be used as attributes (DATA.ATTRIBUTES)")
    return AttributeTable(place, SYSU_NAMES, rows, places, gaps=True)


def _contents(place: Path) -> CameraFiles:
    """The camera files of a folder or zip."""
    if not place.exists():
        raise DataError(
            f"the attributes {place} do not exist; DATA.ATTRIBUTES is a folder or zip that holds cam1_att.mat .."
            " cam6_att.mat, a .csv or .xlsx file, or none"
        )
    if place.name in _FILES:
        raise DataError(
            f"{place} is the file of one camera; DATA.ATTRIBUTES is the folder that holds all six: {place.parent}"
        )
    try:
        return _of_folder(place) if place.is_dir() else _of_zip(place)
    except zipfile.BadZipFile as error:
        raise DataError(
            f"the attributes {place} cannot be read (DATA.ATTRIBUTES): {error}; expected a folder, a zip,"
            " a .csv or .xlsx file"
        ) from error
    except OSError as error:
        raise DataError(f"the attributes {place} cannot be read (DATA.ATTRIBUTES): {error}") from error


def _of_folder(place: Path) -> CameraFiles:
    files: CameraFiles = {}
    for depth in range(_DEPTH):
        for file in sorted(place.glob("*/" * depth + "cam?_att.mat")):
            try:
                content: bytes | str = file.read_bytes()
            except OSError as error:
                content = error.strerror or str(error)
            files.setdefault(file.name, {})[file.relative_to(place).as_posix()] = content
    return files


def _of_zip(place: Path) -> CameraFiles:
    files: CameraFiles = {}
    with zipfile.ZipFile(place) as archive:
        for member in sorted(archive.namelist()):
            path = PurePosixPath(member)
            if path.name in _FILES:
                try:
                    content: bytes | str = archive.read(member)
                except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
                    content = f"damaged in the zip ({error}); fetch it again"
                files.setdefault(path.name, {})[member] = content
    return files


def _matrix(files: Mapping[str, Mapping[str, bytes | str]], file: str) -> np.ndarray:
    """(8, identities) of zeros and ones; DataError with what is wrong."""
    from scipy.io import loadmat

    name, copies = file.removesuffix(".mat"), files.get(file, {})
    if not copies:
        raise DataError("does not exist there or in the folders inside; unpack the whole release")
    if len(set(copies.values())) > 1:
        raise DataError(
            f"exists with different contents: {listed(copies)}; set DATA.ATTRIBUTES to the folder of one of them"
        )
    content = next(iter(copies.values()))
    if isinstance(content, str):
        raise DataError(content)
    try:
        variables = loadmat(io.BytesIO(content))
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise DataError(f"is not a MATLAB file that can be read ({error}); fetch it again") from error
    if name not in variables:
        others = listed(key for key in variables if not key.startswith("__")) or "none"
        raise DataError(f"has no variable {name!r} (variables: {others})")
    values = np.asarray(variables[name])
    if values.ndim != 2 or values.shape[0] != NUM_ATTRIBUTES:
        turned = "; it looks transposed" if values.ndim == 2 and values.shape[1] == NUM_ATTRIBUTES else ""
        raise DataError(f"{name} has shape {values.shape}, expected ({NUM_ATTRIBUTES}, identities){turned}")
    wrong = np.argwhere(~np.isin(values, (0, 1)))
    if len(wrong):
        row, column = wrong[0]
        cells = counted(len(wrong), "value")
        raise DataError(
            f"{cells} other than 0 and 1, first {values[row, column]} in row {row + 1}, column {column + 1}"
            f" (attribute {SYSU_NAMES[row]}, identity {column + 1})"
        )
    return values.astype(np.int64)
