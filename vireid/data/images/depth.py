"""Map gray images of 16 or 32 bits to 8 bits: the setting DATA.DEPTH."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vireid.core.errors import UserError, nearest

OPTIONS = ("percentiles", "range")
EXAMPLE = "DATA.DEPTH '{percentiles: [1, 99]}'"


@dataclass(frozen=True, kw_only=True)
class DepthMapping:
    """Map gray values of 16-bit, 32-bit or float images linearly to 0 .. 255; values outside are clipped.

    Args:
        percentiles: (low, high) in [0, 100]. The bounds are these percentiles of each image, so that every image uses
            the full range. If both percentiles are equal, the bounds are the smallest and the largest value.
        range: (low, high). The bounds are these values for all images, so that values stay comparable.

    Raises:
        UserError: If not exactly one of both is given, or the bounds are not finite and increasing.

    Example:
        >>> DepthMapping(range=(0, 1000))(np.array([[0, 500, 2000]], np.uint16)).tolist()
        [[0, 128, 255]]
    """

    percentiles: tuple[float, float] | None = None
    range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if (self.percentiles is None) == (self.range is None):
            raise UserError("needs exactly one of percentiles: [low, high] and range: [low, high]")
        low, high = self.percentiles or self.range or (0.0, 0.0)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise UserError(f"needs two finite numbers, the smaller one first, got {low:g} and {high:g}")
        if self.percentiles is not None and not 0 <= low < high <= 100:
            raise UserError(f"needs percentiles between 0 and 100, got {low:g} and {high:g}")

    def __str__(self) -> str:
        low, high = self.percentiles or self.range or (0.0, 0.0)
        return f"{'percentiles' if self.range is None else 'range'} {low:.17g} to {high:.17g}"

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """(H, W) of any real type -> (H, W) uint8; NaN becomes 0. UserError if no value is finite."""
        values = values.astype(np.float64)
        finite = values[np.isfinite(values)]
        if not finite.size:
            raise UserError("the image holds no finite value")
        if self.percentiles is None:
            assert self.range is not None
            low, high = self.range
        else:
            low, high = np.percentile(finite, self.percentiles)
            if low == high:
                low, high = finite.min(), finite.max()
        if low == high:  # a constant image
            return np.zeros(values.shape, np.uint8)
        scaled = np.clip((values - low) / (high - low), 0, 1)
        return np.rint(255 * np.nan_to_num(scaled, nan=0.0)).astype(np.uint8)


DISPLAY = DepthMapping(percentiles=(1, 99))  # of pictures in reports


def depth_mapping(setting: Mapping[str, tuple[float, float]] | None) -> DepthMapping | None:
    """Build the mapping of the value of DATA.DEPTH; None if it is not set.

    Raises:
        UserError: Continues the sentence `DATA.DEPTH = value ...`.

    Example:
        >>> str(depth_mapping({"percentiles": (1.0, 99.0)}))
        'percentiles 1 to 99'
    """
    if setting is None:
        return None
    options = {str(key).lower(): value for key, value in setting.items()}
    for key in options:
        if key not in OPTIONS:
            raise UserError(f"has no option {key!r}{nearest(key, OPTIONS)} (known: {', '.join(OPTIONS)})")
    return DepthMapping(**options)


def depth_fault(setting: Mapping[str, tuple[float, float]] | None) -> str | None:
    """Describe what is wrong with a value of DATA.DEPTH, to continue `DATA.DEPTH = value ...`; None if nothing is."""
    try:
        depth_mapping(setting)
    except UserError as error:
        return str(error)
    return None
