"""Patterns of textiles: the layer (0 to 2) of each position on the cloth.

Lengths are in statures (the height of the person is 1), so that a stripe is as wide on a sleeve as on the chest. The
pattern is common to both modalities; colors and infrared reflectances are assigned to the layers afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Pattern:
    """Pattern of a cloth.

    Args:
        kind: Key of `KINDS`.
        period: Period in statures.
        duty: Share of the period in the second layer.
        angle: Angle in radians.
        phases: Random numbers in [0, 1).
    """

    kind: str = "plain"
    period: float = 0.06
    duty: float = 0.5
    angle: float = 0.0
    phases: tuple[float, ...] = (0.0,) * 12

    def layers(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the layer, 0 to 2, of positions around (x) and down (y) the garment, in statures."""
        return KINDS[self.kind](self, x, y)


def _saw(position: np.ndarray, period: float, phase: float | np.ndarray = 0.0) -> np.ndarray:
    return np.mod(position / period + phase, 1.0)


def _plain(pattern: Pattern, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.zeros(np.broadcast(x, y).shape, np.intp)


def _stripes(pattern: Pattern, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    position = y * np.cos(pattern.angle) + x * np.sin(pattern.angle)
    stripe = _saw(position, pattern.period, pattern.phases[0]) < pattern.duty
    accent = _saw(position, pattern.period * 3, pattern.phases[0]) < pattern.duty / 3
    return np.where(stripe & accent & (pattern.phases[1] > 0.6), 2, stripe).astype(np.intp)


def _checks(pattern: Pattern, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    down = _saw(y, pattern.period, pattern.phases[0]) < pattern.duty
    across = _saw(x, pattern.period, pattern.phases[1]) < pattern.duty
    return down.astype(np.intp) + across


def _plaid(pattern: Pattern, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    thin = 0.10 + 0.15 * pattern.duty
    down = _saw(y, pattern.period * 1.5, pattern.phases[0])
    across = _saw(x, pattern.period * 1.5, pattern.phases[1])
    wide = (down < 2.2 * thin) | (across < 2.2 * thin)
    line = (np.abs(down - 0.65) < thin / 2) | (np.abs(across - 0.65) < thin / 2)
    return np.where(line, 2, wide).astype(np.intp)


def _dots(pattern: Pattern, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    row = np.floor(y / pattern.period)
    dx = _saw(x, pattern.period, 0.5 * np.mod(row, 2)) - 0.5
    dy = _saw(y, pattern.period) - 0.5
    inside = dx * dx + dy * dy < (0.18 + 0.22 * pattern.duty) ** 2
    return np.where(inside, 1 + (np.mod(row, 3) == 0) * (pattern.phases[1] > 0.6), 0).astype(np.intp)


def _print(pattern: Pattern, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Camouflage or large flowers: a sum of waves with random phases, quantized to three levels."""
    field = np.zeros(np.broadcast(x, y).shape)
    wave = 2 * np.pi / (pattern.period * 1.8)
    for k in range(6):
        turn = np.pi * (k / 6 + 0.1 * pattern.phases[k + 6])
        scale = wave * (0.6 + 0.15 * k)
        field += np.sin(scale * (x * np.cos(turn) + y * np.sin(turn)) + 2 * np.pi * pattern.phases[k])
    return (field > 0.9 - 1.2 * pattern.duty).astype(np.intp) + (field > 2.1 - 1.2 * pattern.duty)


def _zigzag(pattern: Pattern, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    tooth = np.abs(_saw(x, pattern.period * 1.3) - 0.5) * pattern.period
    return (_saw(y + tooth, pattern.period, pattern.phases[0]) < pattern.duty).astype(np.intp)


def _blocks(pattern: Pattern, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Two or three wide bands down the garment, as on sports clothes."""
    first = 0.06 + 0.12 * pattern.phases[0]
    second = first + 0.03 + 0.11 * pattern.phases[1]
    band = (y > first).astype(np.intp) + (y > second)
    return np.where((pattern.phases[2] > 0.5) & (band == 2), 0, band)


def _side_panels(pattern: Pattern, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Flanks, or the outer seam of a trouser leg, in another cloth."""
    quarter = np.abs(np.abs(np.mod(x / 0.7 + 0.5, 1.0) - 0.5) - 0.25)
    return (quarter < 0.05 + 0.08 * pattern.duty).astype(np.intp)


KINDS: dict[str, Callable[[Pattern, np.ndarray, np.ndarray], np.ndarray]] = {
    "plain": _plain,
    "stripes": _stripes,
    "checks": _checks,
    "plaid": _plaid,
    "dots": _dots,
    "print": _print,
    "zigzag": _zigzag,
    "blocks": _blocks,
    "side_panels": _side_panels,
}


@dataclass(frozen=True, slots=True)
class Emblem:
    """Print on the chest or the back: `shape` is a key of `SHAPES`; center and size are in statures."""

    shape: str
    on_back: bool
    down: float
    aside: float
    size: float

    def covers(self, x: np.ndarray, y: np.ndarray, around: float) -> np.ndarray:
        """Return the mask of printed positions; x is 0 at the front, and `around` is the girth in statures."""
        middle = self.aside + (around / 2 if self.on_back else 0.0)
        dx = (np.mod(x - middle + around / 2, around) - around / 2) / self.size
        return SHAPES[self.shape](dx, (y - self.down) / self.size)


SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "disc": lambda dx, dy: dx * dx + dy * dy < 1,
    "ring": lambda dx, dy: np.abs(np.sqrt(dx * dx + dy * dy) - 0.8) < 0.28,
    "square": lambda dx, dy: np.maximum(np.abs(dx), np.abs(dy)) < 0.9,
    "bar": lambda dx, dy: (np.abs(dx) < 1.6) & (np.abs(dy) < 0.35),
    "lines": lambda dx, dy: (
        (np.abs(dx) < 1.3 - 0.3 * np.floor(dy + 2)) & (np.abs(dy) < 1.2) & (np.mod(dy * 1.5, 1) < 0.5)
    ),
    "cross": lambda dx, dy: (np.minimum(np.abs(dx), np.abs(dy)) < 0.3) & (np.maximum(np.abs(dx), np.abs(dy)) < 1),
    "triangle": lambda dx, dy: (np.abs(dx) < (dy + 1) / 2) & (dy < 1),
}
