"""Image files of a gallery: read pixels and digests, and compare them with the state recorded at embedding time."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vireid.core.paths import real_path
from vireid.core.types import Sample
from vireid.data.images.decode import read_pixels
from vireid.data.images.depth import DepthMapping

SHARD_SIZE = 512  # images that are read, embedded and stored at a time


@dataclass(frozen=True)
class Stamp:
    """State of a file when it was read. `ctime_ns` also changes if a program sets the times of a file back."""

    size: int
    mtime_ns: int
    ctime_ns: int
    digest: str  # SHA-256 of the content

    @classmethod
    def of_row(cls, columns: Mapping[str, np.ndarray], row: int) -> Stamp | None:
        """Read the stamp of a gallery row; None if an earlier version did not record it."""
        recorded = columns["digest"][row].decode("ascii")
        if not recorded:
            return None
        return cls(int(columns["size"][row]), int(columns["mtime_ns"][row]), int(columns["ctime_ns"][row]), recorded)

    def touched(self, status: os.stat_result) -> bool:
        """Return whether size or times differ, so that the content has to be compared."""
        return (status.st_size, status.st_mtime_ns, status.st_ctime_ns) != (self.size, self.mtime_ns, self.ctime_ns)


def read_image(
    path: Path, size: tuple[int, int], depth: DepthMapping | None = None
) -> tuple[np.ndarray | None, str, Stamp | None]:
    """Read pixels (H, W, 3) or the error of the file, and its stamp."""
    try:
        status = os.stat(path)  # before reading: a file that changes meanwhile differs from its stamp
        content = path.read_bytes()
    except OSError as error:
        return None, error.strerror or str(error), None
    pixels, fault = read_pixels(io.BytesIO(content), size, depth)
    digest = hashlib.sha256(content).hexdigest()
    return pixels, fault, Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest)


def read_images(
    samples: Sequence[Sample],
    size: tuple[int, int],
    bad: dict[str, str],
    shard_size: int = SHARD_SIZE,
    depth: DepthMapping | None = None,
) -> Iterator[tuple[list[Sample], np.ndarray, list[Stamp]]]:
    """Yield the readable images of one shard at a time with their stamps; the others are added to `bad`."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(samples), shard_size):
            part = samples[start : start + shard_size]
            read = list(pool.map(lambda sample: read_image(sample.path, size, depth), part))
            bad.update((str(sample.path), fault) for sample, (pixels, fault, _) in zip(part, read) if pixels is None)
            good = [(sample, pixels, stamp) for sample, (pixels, _, stamp) in zip(part, read) if pixels is not None]
            images = np.stack([pixels for _, pixels, _ in good]) if good else np.empty((0, *size, 3), np.uint8)
            yield [sample for sample, _, _ in good], images, [stamp for _, _, stamp in good if stamp is not None]


def changed(recorded: Mapping[Path, Stamp]) -> set[Path]:
    """Return the files whose content differs from the recorded one. Only files with another size or time are read."""

    def differs(item: tuple[Path, Stamp]) -> bool:
        path, stamp = item
        try:
            status = os.stat(path)
            if not stamp.touched(status):
                return False
            return status.st_size != stamp.size or hashlib.sha256(path.read_bytes()).hexdigest() != stamp.digest
        except OSError:
            return False  # vanished: reported as such

    with ThreadPoolExecutor() as pool:
        return {path for (path, _), other in zip(recorded.items(), pool.map(differs, recorded.items())) if other}


def vanished(paths: Iterable[str]) -> list[str]:
    """Return the paths that do not exist."""
    return [path for path in paths if not os.path.exists(path)]


def real_paths(columns: Mapping[str, np.ndarray]) -> list[str]:
    """Return the path of each row (G,). Paths of format 1 are not resolved in the gallery; they are resolved here."""
    return [
        path if recorded else str(real_path(path))
        for path, recorded in zip(columns["path"].tolist(), columns["digest"].tolist())
    ]


def latest_rows(paths: Sequence[str]) -> np.ndarray:
    """Mark the last row of each file (G,) bool. It supersedes the earlier ones.

    >>> latest_rows(["a", "b", "a"]).tolist()
    [False, True, True]
    """
    last = {path: row for row, path in enumerate(paths)}
    latest = np.zeros(len(paths), bool)
    latest[list(last.values())] = True
    return latest
