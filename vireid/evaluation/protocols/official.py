"""Official gallery permutations of SYSU-MM01: `exp/rand_perm_cam.mat`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vireid.core.errors import DataError
from vireid.core.text import listed
from vireid.core.types import EmbeddingTable

VARIABLE = "rand_perm_cam"
FILE = Path("exp") / f"{VARIABLE}.mat"


def permutations_path(table: EmbeddingTable) -> Path:
    """Return the path of the permutations in the dataset of a table, whose images are root/cam1/0001/0001.jpg.

    Raises:
        DataError: If the paths of the images are unknown or have another form.
    """
    if not table.samples:
        raise DataError(
            "the official draw reads exp/rand_perm_cam.mat next to the images, but their paths are unknown"
            " (EmbeddingTable.samples): set PERMUTATIONS to the file"
        )
    path = table.samples[0].path
    if len(path.parents) < 3:
        raise DataError(
            f"the official draw reads exp/rand_perm_cam.mat next to images such as cam1/0001/0001.jpg, but {path} is"
            " not in such a folder: set PERMUTATIONS to the file"
        )
    return path.parents[2] / FILE


def read_permutations(file: Path) -> list[list[np.ndarray]]:
    """Read [camera - 1][identity - 1] -> (trials, images) image numbers from 1; empty without any.

    Raises:
        DataError: If the file is missing, is not a MATLAB file, or lacks the variable `rand_perm_cam`.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(io.BytesIO(file.read_bytes()))
    except FileNotFoundError as error:
        raise DataError(
            f"{file} does not exist: the official draw needs the permutations that come with SYSU-MM01"
            " (the convention of AGW and most others does not: DRAW: seeded)"
        ) from error
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise DataError(f"{file} is not a MATLAB file that can be read: {error}") from error
    if VARIABLE not in content:
        found = ", ".join(key for key in content if not key.startswith("__")) or "none"
        raise DataError(f"{file} has no variable {VARIABLE!r} (found: {found})")
    try:
        return [
            [np.atleast_2d(table).astype(np.int64) for table in camera.ravel()] for camera in content[VARIABLE].ravel()
        ]
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{file}: {VARIABLE} is not a cell of cameras that are cells of identities: {error}") from error


def official(
    table: EmbeddingTable, cameras: Sequence[int], *, shots: int, trials: int, file: Path
) -> Iterator[np.ndarray]:
    """Draw galleries like the authors of the dataset and MPANet: by the official permutations.

    Trial t takes the first `shots` numbers of row t of an identity's permutation. An image is the one whose file name
    is that number. Cameras are the outer loop and identities the inner one, unlike in the seeded convention. A
    permutation with fewer than `shots` images gives them all.

    Raises:
        DataError: With every image in the permutations that does not exist, or every identity that they lack.
    """
    permutations = read_permutations(file)
    numbers = _numbered(table)
    identities = np.unique(table.labels).tolist()
    _check(permutations, identities, cameras, trials, file)
    for trial in range(trials):
        drawn, missing = [], []
        for camera in cameras:
            for identity in identities:
                of_identity = permutations[camera - 1][identity - 1]
                for number in of_identity[trial, :shots].tolist() if of_identity.size else ():
                    row = numbers.get((camera, identity, number))
                    drawn.append(row) if row is not None else missing.append(f"cam{camera}/{identity:04d}/{number:04d}")
        if missing:
            raise DataError(f"{file} names images that are not among the test images: {listed(missing)}")
        yield np.array(drawn, np.int64)


def _numbered(table: EmbeddingTable) -> dict[tuple[int, int, int], int]:
    """Map (camera, identity, number of the image) to its row."""
    if not table.samples:
        raise DataError("the official draw needs the paths of the images, but EmbeddingTable.samples is not set")
    names = [sample.path.stem for sample in table.samples]
    wrong = [str(sample.path) for sample, name in zip(table.samples, names) if not name.isdecimal()]
    if wrong:
        raise DataError(
            f"the official draw needs images that are named by numbers, but these are not: {listed(wrong, 3)}"
        )
    return {
        (camera, identity, int(name)): row
        for row, (camera, identity, name) in enumerate(zip(table.cameras.tolist(), table.labels.tolist(), names))
    }


def _check(
    permutations: list[list[np.ndarray]], identities: Sequence[int], cameras: Sequence[int], trials: int, file: Path
) -> None:
    """Raise DataError if the permutations lack a camera, an identity or trials."""
    if len(permutations) < max(cameras):
        raise DataError(f"{file} has permutations of {len(permutations)} cameras; camera {max(cameras)} was asked for")
    for camera in cameras:
        unknown = [str(identity) for identity in identities if not 1 <= identity <= len(permutations[camera - 1])]
        if unknown:
            raise DataError(f"{file} has no permutations in camera {camera} for the identities {listed(unknown)}")
        lengths = [len(of) for identity in identities if (of := permutations[camera - 1][identity - 1]).size]
        if lengths and min(lengths) < trials:
            raise DataError(f"{file} has {min(lengths)} trials in camera {camera}; {trials} were asked for")
