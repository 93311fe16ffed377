"""Images decoded and resized once, into one memory-mapped uint8 array for each list of images and size.

The array is an ordinary .npy file: `numpy.load(file, mmap_mode="r")` opens it. Its name is made from the content of
the listing, so another list, another size or a changed file gives another cache. Beside it lies a small .json that says
what the array was made from and holds check sums.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vireid.core.errors import DataError
from vireid.core.types import Sample
from vireid.data.reading import progress, read_pixels
from vireid.data.rows import RowView, open_rows

FORMAT = 1  # raise it when the content of the arrays changes
_SHOWN = 20  # faults listed in one error text
_CHUNK = 256  # images decoded before the next ones are asked for
_CHECKED_ROWS = 32  # rows whose check sums are compared when a cache is opened

logger = logging.getLogger(__name__)


def open_images(
    samples: Sequence[Sample], *, size: tuple[int, int], folder: Path, workers: int = 0
) -> np.ndarray | RowView:
    """The images of `samples` as a read-only memory map (N, H, W, 3) uint8; row i is samples[i].

    `size` is (H, W), `folder` the place of the caches, `workers` the number of decoding threads (0: one for each core;
    decoding and resizing leave the interpreter lock, so threads share the cores). The first call with a list decodes
    it, later ones open the file; several processes may call at once, the others wait for the first.

    Each image is resized by Pillow's LANCZOS exactly as the released pre-processing does. Grey images become three
    equal channels (the released code, which assumes three channels, would stop). Samples that are rows of arrays
    (`vireid.data.rows`) need no cache: they are read where they lie.
    Errors: DataError with all images that are missing, damaged, or neither RGB nor grey; DataError where the cache
    cannot be written. Nothing half-written is left. A damaged cache is rebuilt with one warning line.
    """
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"size must be at least 1 x 1, got {height} x {width}")
    if not samples:
        return np.zeros((0, height, width, 3), np.uint8)
    rows = open_rows(samples, size=size)
    if rows is not None:
        return rows
    paths = [os.path.abspath(sample.path) for sample in samples]
    shape = (len(paths), height, width, 3)
    key, root = _key(paths, size)
    file = Path(folder).expanduser() / f"{key[:20]}_{height}x{width}.npy"
    images, damage = _open(file, shape)
    if images is not None:
        return images
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _locked(file.with_suffix(".lock")) as alone:
            images, damage = _open(file, shape)  # another process may have made it while this one waited
            if images is not None:
                return images
            if damage:
                logger.warning("the image cache %s is damaged (%s): making it again", file, damage)
            if alone:
                _remove(file.parent.glob(f".{file.stem}.*.tmp"))  # of processes that were killed
            _build(paths, shape, file, {"format": FORMAT, "key": key, "root": root, "shape": shape}, workers)
    except OSError as error:
        needed = np.prod(shape, dtype=np.int64) / 2**30
        raise DataError(
            f"cannot write the image cache {file}: {error.strerror or error};"
            f" it needs {needed:.2f} GiB, set CACHE_DIR to a folder that can hold it"
        ) from error
    images, damage = _open(file, shape)
    if images is None:
        raise DataError(f"the image cache {file} is damaged just after it was written ({damage}); is the disk sound?")
    return images


def _key(paths: Sequence[str], size: tuple[int, int]) -> tuple[str, str]:
    """Hash of what the array is made from, and the common root of the paths."""
    root = os.path.commonpath([os.path.dirname(path) for path in paths])
    digest = hashlib.sha256(f"{FORMAT} {size[0]} {size[1]}\n".encode())
    missing = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError as error:
            missing.append(f"{path}: {error.strerror}")
            continue
        digest.update(f"{path[len(root) :]}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    _raise_if_any(missing, len(paths))
    return digest.hexdigest(), root


def _raise_if_any(problems: Sequence[str], total: int) -> None:
    if not problems:
        return
    lines = [f"{len(problems)} of {total} images cannot be used; replace or remove them:"]
    lines += [f"  - {problem}" for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"  ... and {len(problems) - _SHOWN} more")
    raise DataError("\n".join(lines))


def _open(file: Path, shape: tuple[int, ...]) -> tuple[np.ndarray | None, str]:
    """The array if it is whole, else None and what is wrong; no words where there is simply nothing yet."""
    sidecar = file.with_suffix(".json")
    if not file.exists():
        return None, ""
    try:
        facts = json.loads(sidecar.read_text(encoding="utf-8"))
        expected = facts["bytes"], facts["checks"]
        if file.stat().st_size != expected[0]:
            return None, f"{file.stat().st_size} bytes instead of {expected[0]}"
        images = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        return None, str(error).splitlines()[0] if str(error) else type(error).__name__
    if images.shape != shape or images.dtype != np.uint8:
        return None, f"it holds {images.dtype} {images.shape} instead of uint8 {shape}"
    if _checks(images) != expected[1]:
        return None, "its check sums differ"
    return images, ""


def _checks(images: np.ndarray) -> list[int]:
    """Check sums of some rows, spread over the array: a file that was cut and refilled with zeros does not pass."""
    rows = np.unique(np.linspace(0, len(images) - 1, _CHECKED_ROWS).round().astype(int))
    return [zlib.crc32(images[row].data) for row in rows]


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[bool]:
    """Hold a lock that the system releases when the process ends in any way; False where there is no such lock."""
    with open(file, "a") as handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        except (
            ImportError,
            OSError,
        ):  # Windows, some network disks: then processes work side by side, each on its copy
            yield False
        else:
            yield True


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()


def _build(paths: Sequence[str], shape: tuple[int, ...], file: Path, facts: dict, workers: int) -> None:
    """Write the array aside and rename it; the side file first, because the array's name says that all is there."""
    unique = f".{file.stem}.{os.getpid()}.{os.urandom(4).hex()}"
    array, sidecar = file.with_name(f"{unique}.npy.tmp"), file.with_name(f"{unique}.json.tmp")
    try:
        with open(array, "wb") as handle:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(handle, header)
            _raise_if_any(_decode_all(paths, shape, handle, workers), len(paths))
            handle.flush()
            os.fsync(handle.fileno())
        facts["bytes"] = array.stat().st_size
        facts["checks"] = _checks(np.load(array, mmap_mode="r", allow_pickle=False))
        sidecar.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        os.replace(sidecar, file.with_suffix(".json"))
        os.replace(array, file)
    finally:
        _remove([array, sidecar])


def _decode_all(paths: Sequence[str], shape: tuple[int, ...], target: BinaryIO, workers: int) -> list[str]:
    """Append the images to `target` in order; returns the faults of the images. OSError only where writing fails.

    Written with `write` and not through a map: a full disk is then an error and not a signal that ends the process.
    """
    size = shape[1], shape[2]
    faults: list[str] = []
    with (
        ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool,
        progress(len(paths), "decoding images") as done,
    ):
        for start in range(0, len(paths), _CHUNK):  # so that no more than this many wait to be written
            chunk = paths[start : start + _CHUNK]
            for path, (pixels, fault) in zip(chunk, pool.map(lambda path: read_pixels(path, size), chunk)):
                if pixels is None:
                    faults.append(f"{path}: {fault}")
                elif not faults:  # once something is wrong the array is thrown away, but all faults are wanted
                    target.write(pixels.data)
            done(len(chunk))
    return faults
