"""The drawing primitive: a straight tube of varying width seen from the side, textured and shaded like a cylinder.

A limb, the trunk, a skirt, a lock of hair or a bag is a strip from one image point to another with a table of
half-widths. Pixels get their coverage from the signed distance to its sides, so that edges are soft without
supersampling.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SIDES = 49  # entries of the tables across a strip
ACROSS = np.linspace(-1.2, 1.2, SIDES)
_SINE = np.clip(ACROSS, -1, 1)
NORMAL_ACROSS = _SINE.astype(np.float32)
NORMAL_FORWARD = np.sqrt(1 - _SINE**2).astype(np.float32)
ANGLE = np.arcsin(_SINE)
_TO_SIDE = (SIDES - 1) / 2 / 1.2


class Canvas:
    """Image on which strips are drawn, farthest first; `planes` is (C, H, W) float32 in display values."""

    def __init__(self, planes: np.ndarray) -> None:
        self.planes = planes
        _, self.height, self.width = planes.shape
        self._x = np.arange(self.width, dtype=np.float32)
        self._y = np.arange(self.height, dtype=np.float32)

    def strip(
        self,
        start: Sequence[float],
        direction: Sequence[float],
        length: float,
        reach: float,
        half: np.ndarray,
        inverse: np.ndarray,
        texture: np.ndarray,
        columns: np.ndarray,
        light: np.ndarray,
    ) -> None:
        """Draw one strip.

        Args:
            start: (x, y) of one end in pixels.
            direction: (x, y) of norm 1.
            length: Length in pixels.
            reach: Largest half-width in pixels.
            half: (R,) half-widths.
            inverse: (R,) table steps per pixel.
            texture: (C, R * U).
            columns: (SIDES,) texture column of each position across.
            light: (R * SIDES,) shading.
        """
        (x0, y0), (dx, dy) = start, direction
        x1, y1 = x0 + dx * length, y0 + dy * length
        aside, along = reach * abs(dy) + 1, reach * abs(dx) + 1
        left, right = max(0, int(min(x0, x1) - aside)), min(self.width, int(max(x0, x1) + aside) + 2)
        top, bottom = max(0, int(min(y0, y1) - along)), min(self.height, int(max(y0, y1) + along) + 2)
        if right <= left or bottom <= top:
            return
        rows, width = len(half), texture.shape[1] // len(half)
        xs, ys = self._x[left:right] - x0, (self._y[top:bottom] - y0)[:, None]
        step = rows / length
        row = (ys * (dy * step) + xs * (dx * step)).astype(np.intp)
        np.minimum(row, rows - 1, out=row)
        np.maximum(row, 0, out=row)
        across = ys * -dx + xs * dy
        cover = half.take(row)
        cover += 0.5
        side = across * inverse.take(row)
        np.abs(across, out=across)
        cover -= across
        np.minimum(cover, 1, out=cover)
        np.maximum(cover, 0, out=cover)
        side += (SIDES - 1) / 2 + 0.5
        np.minimum(side, SIDES - 1, out=side)
        np.maximum(side, 0, out=side)
        side = side.astype(np.intp)
        color = texture.take(row * width + columns.take(side), axis=1)
        row *= SIDES
        row += side
        color *= light.take(row)
        patch = self.planes[:, top:bottom, left:right]
        color -= patch
        color *= cover
        patch += color


def steps_per_pixel(half: np.ndarray) -> np.ndarray:
    """Compute `inverse` of `Canvas.strip` for a table of half-widths in pixels."""
    return (_TO_SIDE / np.maximum(half, 0.3)).astype(np.float32)
