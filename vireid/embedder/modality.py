"""Modality of images: given by name, or estimated from their colors."""

from __future__ import annotations

import numpy as np

from vireid.core.errors import ArgumentError, nearest
from vireid.core.types import Modality

AUTO = "auto"
NAMES = (*(modality.name.lower() for modality in Modality), AUTO)
GRAY_LEVELS = 4.0  # JPEG compression of a gray image changes its channels by less


def modality_rows(modality: str, pixels: np.ndarray) -> np.ndarray:
    """Return the modality of each image of a batch.

    Args:
        modality: "visible", "infrared", or "auto": the test of `looks_infrared`.
        pixels: (B, H, W, 3) uint8.

    Returns:
        (B,) int64, values of `Modality`.

    Raises:
        ArgumentError: If the name is unknown.
    """
    name = check_modality(modality)
    if name == AUTO:
        return np.where(looks_infrared(pixels), Modality.INFRARED, Modality.VISIBLE).astype(np.int64)
    return np.full(len(pixels), Modality[name.upper()], np.int64)


def check_modality(modality: str) -> str:
    """Return the name of a modality in lower case; ArgumentError with the nearest one if it is unknown."""
    name = modality.lower() if isinstance(modality, str) else ""
    if name not in NAMES:
        raise ArgumentError(
            "modality", f"must be one of {', '.join(NAMES)}, got {modality!r}{nearest(str(modality), NAMES)}"
        )
    return name


def looks_infrared(pixels: np.ndarray) -> np.ndarray:
    """Gray-level test: an image whose channels are nearly equal is taken for an infrared image.

    The statistic is the mean over all pixels of (largest channel - smallest channel). It must be below `GRAY_LEVELS`. A
    black-and-white photograph passes as well, and an infrared image in false colors does not: give the modality by
    name where it is known.

    Shape:
        (B, H, W, 3) uint8 -> (B,) bool

    Example:
        >>> gray, red = np.full((1, 2, 2, 3), 90, np.uint8), np.array([[[[200, 30, 30]]]], np.uint8)
        >>> bool(looks_infrared(gray)[0]), bool(looks_infrared(red)[0])
        (True, False)
    """
    spread = pixels.max(axis=3).astype(np.int16) - pixels.min(axis=3)
    return spread.mean(axis=(1, 2)) < GRAY_LEVELS
