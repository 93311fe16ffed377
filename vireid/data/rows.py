"""Images that lie in arrays instead of files: `images.npy/17` is row 17 of images.npy, (N, H, W, 3) uint8.

A data set brings its own pixels by giving such paths to its samples. The arrays are memory-mapped and never read whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vireid.core.errors import DataError
from vireid.core.types import Sample
from vireid.data.faults import listed, raise_faults


class RowView:
    """Some rows of some arrays of one shape, in any order, read when they are asked for.

    Has of numpy.ndarray what a loader needs: `len`, `shape`, `dtype`, `take` along the first axis and `view[row]`.
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
        """(B,) row numbers -> (B, H, W, 3), into `out` where it is given. `mode` is there because numpy.take has it."""
        if axis != 0:
            raise ValueError(f"axis must be 0, got {axis}")
        indices = np.asarray(indices)
        if out is None:
            out = np.empty((len(indices), *self.shape[1:]), self.dtype)
        for place, row in enumerate(indices.tolist()):
            out[place] = self[row]
        return out


def row_of(path: Path) -> tuple[Path, int] | None:
    """The array and the row that a path means; None for an ordinary file.

    >>> row_of(Path("data/images.npy/17")) == (Path("data/images.npy"), 17)
    True
    >>> row_of(Path("data/17.jpg"))
    """
    if path.parent.suffix != ".npy" or not path.name.isdecimal():
        return None
    return path.parent, int(path.name)


def open_rows(samples: Sequence[Sample], *, size: tuple[int, int]) -> np.ndarray | RowView | None:
    """The images of `samples` where they are rows of arrays, row i = samples[i]; None where they are files.

    `size` is (H, W): what lies in arrays cannot be resized any more.
    Errors: DataError for arrays that are missing, damaged, of another kind or size, and for lists that mix both.
    """
    places = [row_of(sample.path) for sample in samples]
    found = [place for place in places if place is not None]
    if not found:
        return None
    if len(found) < len(places):
        file = samples[places.index(None)].path
        raise DataError(f"rows of {found[0][0]} and files such as {file} are in one list; give one kind for a split")
    files = list(dict.fromkeys(file for file, _ in found))
    arrays: dict[Path, np.ndarray] = {}
    faults = []
    for file in files:
        try:
            arrays[file] = open_array(file)
            faults += [fault] if (fault := _size_fault(file, arrays[file].shape, size)) else []
        except DataError as error:
            faults.append(str(error))
    short = [f"{file}/{row}" for file, row in found if file in arrays and row >= len(arrays[file])]
    if short:
        faults.append(f"rows beyond the end of their array: {listed(short)}")
    if len(faults) == 1:
        raise DataError(faults[0])
    if faults:
        raise_faults("arrays of images cannot be used", faults)
    rows = np.array([row for _, row in found])
    if len(files) == 1 and np.array_equal(rows, np.arange(len(arrays[files[0]]))):
        return arrays[files[0]]
    numbers = {file: number for number, file in enumerate(files)}
    return RowView([arrays[file] for file in files], np.array([numbers[file] for file, _ in found]), rows)


def open_array(file: Path) -> np.ndarray:
    """A memory map (N, H, W, 3) uint8; DataError with what is wrong."""
    array = open_numbers(file)
    if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8:
        raise DataError(f"{file} holds {array.dtype} {array.shape}, expected uint8 (images, height, width, 3)")
    return array


def open_numbers(file: Path) -> np.ndarray:
    """A memory map of any .npy file; no pickle is read. DataError with what is wrong."""
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, TypeError, SyntaxError) as error:
        raise DataError(f"{file} is damaged, or no .npy file: {error}; fetch or make it again") from error


def _size_fault(file: Path, shape: tuple[int, ...], size: tuple[int, int]) -> str:
    if shape[1:3] == tuple(size):
        return ""
    return (
        f"{file} holds images of {shape[1]} x {shape[2]} (height x width), but SIZE is {size[0]} x {size[1]}:"
        f" set SIZE to [{shape[1]}, {shape[2]}], or use the image files"
    )
