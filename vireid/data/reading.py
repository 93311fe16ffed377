"""One image file to pixels, or to words about what is wrong with it; and how far a long reading has come."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

_MODES = ("RGB", "L")
_SECONDS = 10  # between lines of progress in a log file


def read_pixels(file: str | BinaryIO, size: tuple[int, int] | None = None) -> tuple[np.ndarray | None, str]:
    """(H, W, 3) uint8, or nothing and what is wrong with the file.

    `size` (H, W): resized by Pillow's LANCZOS, exactly as the released pre-processing does. Grey images become three
    equal channels; other colour modes are refused.
    """
    try:
        with Image.open(file) as image:
            if image.mode not in _MODES:
                return None, f"colour mode {image.mode}, expected RGB or grey"
            resized = image if size is None else image.resize(size[::-1], Image.Resampling.LANCZOS)
            return np.asarray(resized.convert("RGB")), ""
    except UnidentifiedImageError:
        return None, "the file is empty" if _is_empty(file) else "not an image"
    except Exception as error:  # Pillow raises many kinds for damaged files
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return None, "image file is truncated" if "truncated" in words.lower() else words


def _is_empty(file: str | BinaryIO) -> bool:
    if isinstance(file, str):
        return os.stat(file).st_size == 0
    return file.seek(0, os.SEEK_END) == 0


@contextlib.contextmanager
def progress(total: int, doing: str) -> Iterator[Callable[[int], object]]:
    """Call what it gives with the number of things done since; a bar on a terminal, a line now and then in a log.

    `doing`: 'decoding images'.
    """
    if sys.stderr.isatty():
        with tqdm(total=total, desc=doing, unit="image") as bar:
            yield bar.update
        return
    done, said = 0, time.monotonic()

    def update(count: int) -> None:
        nonlocal done, said
        done += count
        if time.monotonic() - said >= _SECONDS:
            said = time.monotonic()
            print(f"{doing}: {done} of {total}", file=sys.stderr, flush=True)

    yield update
