"""The eight binary attributes as released with PAENet: one MATLAB file for each SYSU-MM01 camera (pae.md section 7)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vireid.core.errors import DataError

NUM_ATTRIBUTES = 8
_CAMERAS = range(1, 7)


def read_sysu_attributes(place: Path) -> dict[tuple[int, int], tuple[int, ...]]:
    """(camera, identity) -> eight zeros and ones; what nobody labelled is not in the table.

    `place` is a folder or zip that holds `cam{1..6}_att.mat`, directly or in `sysu_attribute/`. Each file has one
    variable `cam{n}_att`, shape (8, identities), row = attribute, column = identity - 1; a column of ones means "not
    labelled".
    Errors: DataError with every file that is missing, damaged, or of another shape.
    """
    files = _contents(place)
    table: dict[tuple[int, int], tuple[int, ...]] = {}
    problems = []
    for camera in _CAMERAS:
        name = f"cam{camera}_att"
        try:
            values = _matrix(files, name)
        except DataError as error:
            problems.append(f"{name}.mat: {error}")
            continue
        for column in np.flatnonzero(~values.all(axis=0)):
            table[camera, int(column) + 1] = tuple(values[:, column].tolist())
    if problems:
        raise DataError("\n  - ".join([f"{place} cannot be used as attributes (DATA.ATTRIBUTES):", *problems]))
    return table


def _contents(place: Path) -> dict[str, bytes]:
    """The .mat files of a folder or zip by name, those in `sysu_attribute` too."""
    if not place.exists():
        raise DataError(
            f"the attributes {place} do not exist; DATA.ATTRIBUTES is a folder or zip that holds cam1_att.mat .."
            " cam6_att.mat, or none"
        )
    try:
        if place.is_dir():
            found = [*(place / "sysu_attribute").glob("*.mat"), *place.glob("*.mat")]
            return {file.name: file.read_bytes() for file in found}
        with zipfile.ZipFile(place) as archive:
            members = [member for member in archive.namelist() if member.endswith(".mat")]
            return {Path(member).name: archive.read(member) for member in members}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"the attributes {place} cannot be read (DATA.ATTRIBUTES): {error}") from error


def _matrix(files: Mapping[str, bytes], name: str) -> np.ndarray:
    """(8, identities) of zeros and ones."""
    from scipy.io import loadmat

    if f"{name}.mat" not in files:
        raise DataError("not found (looked directly there and in sysu_attribute)")
    try:
        variables = loadmat(io.BytesIO(files[f"{name}.mat"]))
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise DataError(f"is not a MATLAB file that can be read: {error}") from error
    if name not in variables:
        found = ", ".join(key for key in variables if not key.startswith("__")) or "none"
        raise DataError(f"has no variable {name!r} (found: {found})")
    values = np.asarray(variables[name])
    if values.ndim != 2 or values.shape[0] != NUM_ATTRIBUTES:
        raise DataError(f"{name} has shape {values.shape}, expected ({NUM_ATTRIBUTES}, identities)")
    if not np.isin(values, (0, 1)).all():
        raise DataError(f"{name} holds values other than 0 and 1")
    return values.astype(np.int64)
