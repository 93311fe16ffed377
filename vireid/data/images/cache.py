"""Cache of decoded and resized images: one memory-mapped uint8 array for each list of images and size.

The array is an ordinary .npy file: `numpy.load(file, mmap_mode="r")` opens it. Its name, the cache key, is a digest of
everything that it is made from: the real folder of the images, their relative paths, sizes, times and contents, the
size of the array, the mapping of deep gray images and the versions of the decoding libraries. A .json file next to it
has this information and checksums. `vireid.data.images.digests` stores the content digests of the images in the same
folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vireid.core.errors import ArgumentError, DataError, Finding
from vireid.core.progress import progress_bar
from vireid.core.types import Sample
from vireid.data.images.decode import decoder, read_pixels
from vireid.data.images.depth import DepthMapping
from vireid.data.images.digests import FileState, content_digest, file_states, locked, unusable
from vireid.data.rows import RowView, open_rows

FORMAT = 2  # raise it when the content of the arrays changes; 2: EXIF orientation is applied
_CHUNK = 256  # images decoded before the next ones are requested
_CHECKED_ROWS = 32  # rows whose checksums are compared when a cache is opened
_DECODED_ROWS = 8  # rows, spread over the array, and as many random ones that are compared with their files

logger = logging.getLogger(__name__)


def open_images(
    samples: Sequence[Sample],
    *,
    size: tuple[int, int],
    folder: Path,
    workers: int = 0,
    depth: DepthMapping | None = None,
) -> np.ndarray | RowView:
    """Open the images of `samples` as a read-only memory map (N, H, W, 3) uint8; row i is samples[i].

    The first call with a list decodes it, later ones open the file; of several processes the first one decodes and the
    others wait. Every call compares sizes and times of all images with the list of content digests in `folder` and
    reads those that changed. It also decodes a few images again and compares them with their rows: if they differ, the
    cache is rebuilt with a warning.

    Each image is turned upright by its EXIF orientation and resized by Pillow's LANCZOS as in the released
    pre-processing. Gray images become three equal channels (the released code assumes three channels and would
    fail). Samples that are rows of arrays (`vireid.data.rows`) need no cache.

    Args:
        samples: Images.
        size: (H, W) of the result.
        folder: Folder of the caches.
        workers: Decoding threads; 0: one for each core (decoding and resizing release the interpreter lock).
        depth: How gray images of more than 8 bits become 8 bits; None: they are refused.

    Raises:
        DataError: With all images that are missing, damaged, or neither RGB nor gray, or where the cache cannot be
            written. Nothing half-written is left. A damaged cache is rebuilt with one warning line.
    """
    height, width = size
    if height < 1 or width < 1:
        raise ArgumentError("size", f"must be at least 1 x 1, got {height} x {width}")
    if not samples:
        return np.zeros((0, height, width, 3), np.uint8)
    rows = open_rows(samples, size=size)
    if rows is not None:
        return rows
    paths = [os.path.abspath(sample.path) for sample in samples]
    shape = (len(paths), height, width, 3)
    folder = Path(folder).expanduser()
    states, unreadable = file_states(paths, folder, workers)
    _raise_if_any(unreadable, len(paths))
    root = os.path.commonpath([os.path.dirname(path) for path in paths])
    sources = {
        "format": FORMAT,
        "root": os.path.realpath(root),
        "size": [height, width],
        "depth": None if depth is None else str(depth),
        "decoder": decoder(),
    }
    key = _key(sources, [path[len(root) :] for path in paths], states)
    file = folder / f"{key[:20]}_{height}x{width}.npy"

    def opened(compare: bool) -> tuple[np.ndarray | None, str]:
        images, damage = _open(file, shape)
        if images is not None and compare:
            damage = _differing_row(images, paths, key, depth)
        return (None if damage else images), damage

    images, damage = opened(compare=True)
    if images is not None:
        return images
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file.with_suffix(".lock")) as alone:
            images, damage = opened(compare=True)  # another process may have built it meanwhile
            if images is not None:
                return images
            if damage:
                logger.warning("the image cache %s is damaged (%s): rebuilding it", file, damage)
            if alone:
                _remove(file.parent.glob(f".{file.stem}.*.tmp"))  # of processes that were killed
            _build(paths, shape, file, {**sources, "key": key, "shape": shape}, states, workers, depth)
    except OSError as error:
        needed = np.prod(shape, dtype=np.int64) / 2**30
        raise DataError(
            f"cannot write the image cache {file}: {error.strerror or error};"
            f" it needs {needed:.2f} GiB, set CACHE_DIR to a folder that can hold it"
        ) from error
    images, damage = opened(compare=False)
    if images is None:
        raise DataError(f"the image cache {file} is damaged just after it was written ({damage}); is the disk sound?")
    return images


def _key(sources: dict, names: Sequence[str], states: Sequence[FileState]) -> str:
    """The cache key; `names` are relative to the common folder."""
    total = hashlib.sha256(json.dumps(sources, sort_keys=True).encode("ascii"))
    for name, state in zip(names, states, strict=True):
        total.update(os.fsencode(name))
        total.update(f"\0{state.size}\0{state.modified_ns}\0{state.digest}\n".encode("ascii"))
    return total.hexdigest()


def _raise_if_any(findings: Sequence[Finding], total: int) -> None:
    if findings:
        raise DataError(f"{len(findings)} of {total} images cannot be used; replace or remove them", findings)


def _open(file: Path, shape: tuple[int, ...]) -> tuple[np.ndarray | None, str]:
    """The array, or None and what is damaged; the text is empty if there is no cache yet."""
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
        return None, "its checksums differ"
    return images, ""


def _checks(images: np.ndarray) -> list[int]:
    """Checksums of some rows, spread over the array: a file that was cut and refilled with zeros does not pass."""
    rows = np.unique(np.linspace(0, len(images) - 1, _CHECKED_ROWS).round().astype(int))
    return [zlib.crc32(images[row].data) for row in rows]


def _differing_row(images: np.ndarray, paths: Sequence[str], key: str, depth: DepthMapping | None) -> str:
    """Decode some images again and name the first one that differs from its row; empty if none does."""
    spread = np.linspace(0, len(images) - 1, _DECODED_ROWS).round().astype(int)
    drawn = np.random.default_rng(int(key[:16], 16)).integers(0, len(images), _DECODED_ROWS)
    for row in sorted({*map(int, spread), *map(int, drawn)}):
        pixels, _ = read_pixels(paths[row], (images.shape[1], images.shape[2]), depth)
        if pixels is None or not np.array_equal(pixels, images[row]):
            return f"row {row} differs from {paths[row]}"
    return ""


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()


def _build(
    paths: Sequence[str],
    shape: tuple[int, ...],
    file: Path,
    facts: dict,
    states: Sequence[FileState],
    workers: int,
    depth: DepthMapping | None,
) -> None:
    """Write temporary files and rename them: the .json first, because a cache is complete once the array exists."""
    unique = f".{file.stem}.{os.getpid()}.{os.urandom(4).hex()}"
    array, sidecar = file.with_name(f"{unique}.npy.tmp"), file.with_name(f"{unique}.json.tmp")
    try:
        with open(array, "wb") as handle:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(handle, header)
            _raise_if_any(_decode_all(paths, shape, handle, workers, depth), len(paths))
            _raise_if_any(_changed(paths, states), len(paths))
            handle.flush()
            os.fsync(handle.fileno())
        facts["bytes"] = array.stat().st_size
        facts["checks"] = _checks(np.load(array, mmap_mode="r", allow_pickle=False))
        sidecar.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        os.replace(sidecar, file.with_suffix(".json"))
        os.replace(array, file)
    finally:
        _remove([array, sidecar])


def _changed(paths: Sequence[str], states: Sequence[FileState]) -> list[Finding]:
    """A fault for each image whose content changed since its digest was taken: the cache would have the wrong key."""
    findings = []
    for path, state in zip(paths, states, strict=True):
        try:
            if not state.matches(os.stat(path)) and content_digest(Path(path).read_bytes()) != state.digest:
                findings.append(unusable(path, "it was changed while the cache was written; start again"))
        except OSError as error:
            findings.append(unusable(path, error.strerror or str(error)))
    return findings


def _decode_all(
    paths: Sequence[str], shape: tuple[int, ...], target: BinaryIO, workers: int, depth: DepthMapping | None
) -> list[Finding]:
    """Append the images to `target` in order and return the faults of the images. OSError only if writing fails.

    Written with `write` and not through a map: a full disk is then an error and not a signal that ends the process.
    """
    size = shape[1], shape[2]
    findings: list[Finding] = []
    with (
        ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool,
        progress_bar(len(paths), "decoding images") as done,
    ):
        for start in range(0, len(paths), _CHUNK):  # so that no more than this many wait to be written
            chunk = paths[start : start + _CHUNK]
            for path, (pixels, fault) in zip(chunk, pool.map(lambda path: read_pixels(path, size, depth), chunk)):
                if pixels is None:
                    findings.append(unusable(path, fault))
                elif not findings:  # with a fault the array is discarded, but the other images are still checked
                    target.write(pixels.data)
            done(len(chunk))
    return findings
