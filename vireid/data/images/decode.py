"""Decode one image file: EXIF orientation, color modes, and one text for each fault."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError, features

from vireid.data.images.depth import DISPLAY, EXAMPLE, DepthMapping

_MODES = ("RGB", "L")
_DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")  # gray with more than 8 bits
_MODE_WORDS = {
    "1": "black and white",
    "LA": "gray with transparency",
    "P": "palette",
    "RGBA": "RGB with transparency",
    "CMYK": "printing colors",
    "RGB;16": "RGB of 16 bits, of which Pillow keeps the upper 8",
    "I": "32-bit gray",
    "F": "float gray",
    **dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N"), "16-bit gray"),
}
_TO_GRAY = ("1", "LA", "La")
_TRANSPOSE = {  # EXIF orientation -> what makes the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PRIMARY_FIRST = ("MPO",)  # formats with several images, of which the first one is the photograph by definition


@dataclass(frozen=True)
class Reading:
    """A decoded image, or what is wrong with it.

    Attributes:
        pixels: (H, W, 3) uint8, None if the image cannot be used.
        fault: What is wrong, empty if nothing is.
        refused_mode: Pillow's name of the color mode, if that is what is wrong.
    """

    pixels: np.ndarray | None
    fault: str = ""
    refused_mode: str = ""


def read_pixels(
    file: str | BinaryIO, size: tuple[int, int] | None = None, depth: DepthMapping | None = None
) -> tuple[np.ndarray | None, str]:
    """Decode an image: (H, W, 3) uint8 and an empty text, or None and what is wrong with the file.

    The arguments are those of `read_image`.
    """
    reading = read_image(file, size, depth)
    return reading.pixels, reading.fault


def read_image(file: str | BinaryIO, size: tuple[int, int] | None = None, depth: DepthMapping | None = None) -> Reading:
    """Decode an image to (H, W, 3) uint8, upright.

    The EXIF orientation is applied; EXIF data that cannot be read is ignored. Gray images become three equal channels.
    Other color modes are refused with the conversion to make, and so are files with several pages or frames. Of a
    stereo JPEG (MPO) the first image is read, which is the photograph.

    Args:
        file: Path or open file.
        size: (H, W) of the result, resized by Pillow's LANCZOS exactly as the released pre-processing does. None: not
            resized.
        depth: How gray images of more than 8 bits become 8 bits. None: they are refused.
    """
    try:
        with _opened(file) as image:
            return convert_image(image, size, depth)
    except UnidentifiedImageError:
        return Reading(None, "the file is empty" if _is_empty(file) else "not an image")
    except Exception as error:  # Pillow raises many kinds for damaged files
        return Reading(None, _fault(error))


def convert_image(
    image: Image.Image, size: tuple[int, int] | None = None, depth: DepthMapping | None = None
) -> Reading:
    """Convert an open Pillow image to (H, W, 3) uint8, upright, as `read_image` converts a file."""
    try:
        frames = 1 if image.format in _PRIMARY_FIRST else getattr(image, "n_frames", 1)
        if frames > 1:
            return Reading(None, f"{frames} pages or frames in one file, expected one; save a single one")
        if image.mode == "RGB" and _deep_color(image):
            return Reading(None, mode_fault("RGB;16"), "RGB;16")
        if image.mode in _DEEP and depth is not None:
            upright = Image.fromarray(depth(np.asarray(upright_image(image))))
        elif image.mode in _MODES:
            upright = upright_image(image)
        else:
            return Reading(None, mode_fault(image.mode), image.mode)
        resized = upright if size is None else upright.resize((size[1], size[0]), Image.Resampling.LANCZOS)
        return Reading(np.asarray(resized.convert("RGB")))
    except Exception as error:  # Pillow raises many kinds for damaged images
        return Reading(None, _fault(error))


def _fault(error: Exception) -> str:
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "image file is truncated" if "truncated" in words.lower() else words


def _deep_color(image: Image.Image) -> bool:
    """Whether a file that is not loaded yet holds colors of 16 bits: Pillow drops the lower 8 without notice."""
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


@contextlib.contextmanager
def _opened(file: str | BinaryIO) -> Iterator[Image.Image]:
    """Open the image of a path or an open file.

    Paths are opened by Python: given a path, Pillow maps uncompressed files into memory and scrambles the pixels of a
    gray TIFF whose orientation exchanges width and height.
    """
    if not isinstance(file, str):
        with Image.open(file) as image:
            yield image
        return
    with open(file, "rb") as handle, Image.open(handle) as image:
        yield image


def upright_image(image: Image.Image) -> Image.Image:
    """Rotate and mirror an image by its EXIF orientation; EXIF data that cannot be read is ignored.

    Like `PIL.ImageOps.exif_transpose`, which fails if it cannot write the remaining EXIF data again.
    """
    image.load()  # before the metadata: errors of the pixels are not errors of the metadata
    try:
        method = _TRANSPOSE.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # malformed EXIF raises many kinds; the pixels are sound
        method = None
    return image if method is None else image.transpose(method)


def displayed_image(file: str) -> Image.Image:
    """Open a file of any color mode as an upright RGB image for reports; deep gray is mapped by percentiles 1 and 99.

    Raises what Pillow raises for a file that cannot be read.
    """
    with _opened(file) as image:
        upright = upright_image(image)
        if upright.mode in _DEEP:
            return Image.fromarray(DISPLAY(np.asarray(upright))).convert("RGB")
        return upright.convert("RGB")


def mode_fault(mode: str) -> str:
    """Describe why a color mode is refused, with the Pillow call that converts such a file.

    Example:
        >>> mode_fault("CMYK").partition("; ")[0]
        'color mode CMYK (printing colors), expected RGB or gray of 8 bits'
    """
    words = f" ({_MODE_WORDS[mode]})" if mode in _MODE_WORDS else ""
    head = f"color mode {mode}{words}, expected RGB or gray of 8 bits"
    if mode in _DEEP:
        return f"{head}; {EXAMPLE} maps such images to 8 bits"
    return f"{head}; convert it with Pillow: {conversion(mode)}"


def conversion(mode: str) -> str:
    """Return a Python expression over `file` that converts a file of this color mode to a supported one."""
    target = "L" if mode in _TO_GRAY else "RGB"
    return f"ImageOps.exif_transpose(Image.open(file)).convert({target!r}).save(file)"


def decoder() -> str:
    """Return the versions of the libraries that decode and resize; other versions may give other pixels."""
    libraries = ("jpg", "libjpeg_turbo", "webp", "libtiff")
    return " ".join([f"Pillow {features.version('pil')}", *(f"{name} {features.version(name)}" for name in libraries)])


def _is_empty(file: str | BinaryIO) -> bool:
    if isinstance(file, str):
        return os.stat(file).st_size == 0
    return file.seek(0, os.SEEK_END) == 0
