"""Images in arrays instead of files: the path `images.npy/17` is row 17 of images.npy, (N, H, W, 3) uint8.

A dataset with pixels of its own has such paths in its samples. The arrays are memory-mapped and never read as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vireid.core.errors import ArgumentError, DataError
from vireid.core.text import listed
from vireid.core.types import Sample
from vireid.data.findings import Findings, findings_of


class RowView:
    """Rows of one or more arrays of one shape, in any order, read on access.

    Implements the part of numpy.ndarray that a loader needs: `len`, `shape`, `dtype`, `take` along the first axis and
    `view[row]`.

    Args:
        arrays: The arrays, (N, H, W, 3) each.
        source: (R,) number of the array of each row.
        rows: (R,) row in that array.
    """

    def __init__(self, arrays: Sequence[np.ndarray | RowView], source: np.ndarray, rows: np.ndarray) -> None:
        assert len({array.shape[1:] for array in arrays}) == 1
        assert len(source) == len(rows)
        self.arrays, self.source, self.rows = list(arrays), source, rows
        self.shape = (len(rows), *self.arrays[0].shape[1:])
        self.dtype = self.arrays[0].dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> np.ndarray:
        """(H, W, 3) of one image."""
        return self.arrays[self.source[row]][self.rows[row]]

    def take(self, indices: Any, axis: int = 0, out: np.ndarray | None = None, mode: str = "raise") -> np.ndarray:
        """Gather rows: (B,) row numbers -> (B, H, W, 3), written to `out` if it is not None; `mode` is ignored."""
        if axis != 0:
            raise ArgumentError("axis", f"must be 0, got {axis}")
        indices = np.asarray(indices)
        if out is None:
            out = np.empty((len(indices), *self.shape[1:]), self.dtype)
        for position, row in enumerate(indices.tolist()):
            out[position] = self[row]
        return out


def row_of(path: Path) -> tuple[Path, int] | None:
    """Split a path into the array and the row that it names; None for an ordinary file.

    >>> row_of(Path("data/images.npy/17")) == (Path("data/images.npy"), 17)
    True
    >>> row_of(Path("data/17.jpg"))
    """
    if path.parent.suffix != ".npy" or not path.name.isdecimal():
        return None
    return path.parent, int(path.name)


def open_rows(samples: Sequence[Sample], *, size: tuple[int, int]) -> np.ndarray | RowView | None:
    """Open the images of `samples` if they are rows of arrays, row i = samples[i]; None if they are files.

    Args:
        samples: Images.
        size: (H, W) that the images must have; rows of arrays are not resized.

    Raises:
        DataError: For arrays that are missing, damaged, of another type or size, and for lists that mix both.
    """
    locations = [row_of(sample.path) for sample in samples]
    in_arrays = [location for location in locations if location is not None]
    if not in_arrays:
        return None
    if len(in_arrays) < len(locations):
        file = samples[locations.index(None)].path
        raise DataError(f"rows of {in_arrays[0][0]} and files such as {file} are in one list; use one kind for a split")
    files = list(dict.fromkeys(file for file, _ in in_arrays))
    arrays: dict[Path, np.ndarray] = {}
    findings = Findings()
    for file in files:
        try:
            arrays[file] = open_array(file)
            _check_size(file, arrays[file].shape, size, findings)
        except DataError as error:
            findings.extend(findings_of(error))
    beyond = [f"{file}/{row}" for file, row in in_arrays if file in arrays and row >= len(arrays[file])]
    if beyond:
        findings.add(f"rows beyond the end of their array: {listed(beyond)}")
    findings.raise_if_any("arrays of images cannot be used")
    rows = np.array([row for _, row in in_arrays])
    if len(files) == 1 and np.array_equal(rows, np.arange(len(arrays[files[0]]))):
        return arrays[files[0]]
    numbers = {file: number for number, file in enumerate(files)}
    return RowView([arrays[file] for file in files], np.array([numbers[file] for file, _ in in_arrays]), rows)


def open_array(file: Path) -> np.ndarray:
    """Open images as a memory map (N, H, W, 3) uint8; DataError for any other array."""
    array = open_numbers(file)
    if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8:
        raise DataError(f"{file} holds {array.dtype} {array.shape}, expected uint8 (images, height, width, 3)")
    return array


def open_numbers(file: Path) -> np.ndarray:
    """Open any .npy file as a memory map; no pickle is read. DataError if that is not possible."""
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, TypeError, SyntaxError) as error:
        raise DataError(f"{file} is damaged or not a .npy file: {error}; download or create it again") from error


def _check_size(file: Path, shape: tuple[int, ...], size: tuple[int, int], findings: Findings) -> None:
    if shape[1:3] != tuple(size):
        findings.add(
            f"{file} holds images of {shape[1]} x {shape[2]} (height x width), but SIZE is {size[0]} x {size[1]}:"
            f" set SIZE to [{shape[1]}, {shape[2]}], or use the image files",
            path=file,
        )
