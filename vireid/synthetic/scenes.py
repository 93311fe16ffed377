"""Backgrounds: one large reflectance image for each scene, of which every image uses a window.

Indoors a corridor or hall with doors, boards, tiles; outdoors facades, hedges, trees, a road. Infrared reflectances are
independent of the colors (leaves are bright, the sky is black).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from vireid.synthetic.people import SCENE_STREAM, stream

WIDTH, HEIGHT = 1400, 520
FLOOR = 300  # row where the wall or the facade meets the ground


class _Painter:
    """Draws the same shapes into a color image and an infrared image."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.color, self.infrared = Image.new("RGB", (WIDTH, HEIGHT)), Image.new("L", (WIDTH, HEIGHT))
        self._pens = ImageDraw.Draw(self.color), ImageDraw.Draw(self.infrared)

    def _inks(self, rgb: tuple[float, ...], infrared: float) -> tuple[tuple[int, ...], int]:
        return tuple(int(255 * min(max(c, 0), 1)) for c in rgb), int(255 * min(max(infrared, 0), 1))

    def shape(self, kind: str, points: list, rgb: tuple[float, ...], infrared: float, **options: int) -> None:
        """Draw a rectangle, polygon, ellipse or line (`kind`, a method of PIL's ImageDraw) into both images."""
        for pen, ink in zip(self._pens, self._inks(rgb, infrared)):
            getattr(pen, kind)(points, fill=ink, **options)

    def finish(self, grain: float) -> tuple[Image.Image, Image.Image]:
        """Return both images with soft edges and the texture of plaster, asphalt and leaves."""
        factor = (1 + grain * (1.2 * self._field(2) + 0.7 * self._field(60)))[..., None]
        pictures = []
        for image in (self.color, self.infrared):
            values = np.atleast_3d(np.asarray(image.filter(ImageFilter.GaussianBlur(0.8)), np.float32)) * factor
            pictures.append(Image.fromarray(np.clip(values, 0, 255).astype(np.uint8).squeeze()))
        return pictures[0], pictures[1]

    def _field(self, grain: int) -> np.ndarray:
        """(HEIGHT, WIDTH) random, smooth over `grain` pixels."""
        small = self.rng.standard_normal((HEIGHT // grain + 1, WIDTH // grain + 1), np.float32)
        return np.asarray(Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


@lru_cache(maxsize=16)
def scene(seed: int, number: int, indoor: bool) -> tuple[Image.Image, Image.Image]:
    """Draw a scene: (color RGB, infrared L) images of WIDTH x HEIGHT."""
    painter = _Painter(stream(seed, SCENE_STREAM, number))
    (_hall if indoor else _street)(painter)
    return painter.finish(0.035 if indoor else 0.06)


def _ground(painter: _Painter, rgb: np.ndarray, infrared: float, step: int, contrast: float) -> None:
    painter.shape("rectangle", [0, FLOOR, WIDTH, HEIGHT], tuple(rgb), infrared)
    row, gap = float(FLOOR), 5.0
    while row < HEIGHT:  # tiles or paving, nearer rows are taller
        painter.shape("line", [0, row, WIDTH, row], tuple(rgb * contrast), infrared * contrast, width=1)
        row, gap = row + gap, gap * 1.45
    for x in range(-WIDTH, 2 * WIDTH, step):
        painter.shape(
            "line",
            [x, FLOOR, WIDTH / 2 + (x - WIDTH / 2) * 2.2, HEIGHT],
            tuple(rgb * contrast),
            infrared * contrast,
            width=1,
        )


def _muted(rng: np.random.Generator, tint: float) -> np.ndarray:
    """(3,) paint of doors, boards and cars: seldom bright."""
    return np.clip(rng.uniform(0.15, 0.7) + rng.normal(0, tint, 3), 0.05, 0.95)


def _hall(painter: _Painter) -> None:
    rng = painter.rng
    wall = np.array([0.62, 0.60, 0.55]) * rng.uniform(0.85, 1.15) + rng.normal(0, 0.02, 3)
    painter.shape("rectangle", [0, 0, WIDTH, FLOOR], tuple(wall), rng.uniform(0.3, 0.6))
    painter.shape(
        "rectangle", [0, FLOOR - 95, WIDTH, FLOOR], tuple(wall * rng.uniform(0.6, 0.9)), rng.uniform(0.25, 0.55)
    )
    painter.shape("rectangle", [0, FLOOR - 8, WIDTH, FLOOR], tuple(wall * 0.4), 0.2)
    x = 0.0
    while x < WIDTH:
        wide, kind = rng.uniform(45, 110), rng.integers(5)
        ink, infrared = _muted(rng, 0.10), rng.uniform(0.1, 0.8)
        if kind == 0:  # door
            painter.shape("rectangle", [x - 4, FLOOR - 214, x + wide + 4, FLOOR], tuple(ink * 0.5), infrared * 0.5)
            painter.shape("rectangle", [x, FLOOR - 210, x + wide, FLOOR], tuple(ink), infrared)
            painter.shape(
                "rectangle", [x + wide * 0.25, FLOOR - 185, x + wide * 0.75, FLOOR - 125], (0.75, 0.80, 0.82), 0.5
            )
            painter.shape("ellipse", [x + wide * 0.86, FLOOR - 100, x + wide * 0.93, FLOOR - 93], (0.8, 0.75, 0.5), 0.8)
        elif kind == 1:  # notice board with papers
            painter.shape("rectangle", [x, FLOOR - 200, x + wide, FLOOR - 110], tuple(ink), infrared)
            for _ in range(6):
                px, py = x + rng.uniform(0, wide - 18), FLOOR - 200 + rng.uniform(4, 62)
                painter.shape(
                    "rectangle", [px, py, px + 15, py + 21], tuple(rng.uniform(0.6, 1.0, 3)), rng.uniform(0.5, 0.9)
                )
        elif kind == 2:  # lockers
            for k in range(int(wide // 24) + 1):
                painter.shape("rectangle", [x + 24 * k, FLOOR - 170, x + 24 * k + 22, FLOOR], tuple(ink), infrared)
                painter.shape(
                    "line",
                    [x + 24 * k + 4, FLOOR - 150, x + 24 * k + 17, FLOOR - 150],
                    tuple(ink * 0.4),
                    infrared * 0.4,
                    width=2,
                )
        elif kind == 3:  # pillar
            painter.shape("rectangle", [x, 0, x + wide * 0.5, FLOOR + 14], tuple(wall * 1.15), 0.6)
            painter.shape("rectangle", [x + wide * 0.36, 0, x + wide * 0.5, FLOOR + 14], tuple(wall * 0.8), 0.4)
        else:  # window
            painter.shape(
                "rectangle", [x, FLOOR - 215, x + wide, FLOOR - 100], (0.86, 0.90, 0.95), rng.uniform(0.05, 0.3)
            )
            painter.shape(
                "line", [x + wide / 2, FLOOR - 215, x + wide / 2, FLOOR - 100], tuple(wall * 0.4), 0.3, width=4
            )
            painter.shape("rectangle", [x - 3, FLOOR - 100, x + wide + 3, FLOOR - 94], tuple(wall * 0.5), 0.4)
        x += wide + rng.uniform(15, 70)
    _ground(
        painter,
        np.array([0.50, 0.48, 0.45]) * rng.uniform(0.8, 1.2) + rng.normal(0, 0.012, 3),
        rng.uniform(0.2, 0.45),
        int(rng.integers(60, 120)),
        0.82,
    )


def _street(painter: _Painter) -> None:
    rng = painter.rng
    painter.shape("rectangle", [0, 0, WIDTH, FLOOR], (0.74, 0.80, 0.88), 0.10)
    x = -20.0
    while x < WIDTH:  # facades
        wide, high = rng.uniform(140, 280), rng.uniform(200, 320)
        ink, infrared = (
            np.array([0.55, 0.51, 0.47]) * rng.uniform(0.7, 1.3) + rng.normal(0, 0.03, 3),
            rng.uniform(0.25, 0.6),
        )
        painter.shape("rectangle", [x, FLOOR - high, x + wide, FLOOR], tuple(ink), infrared)
        for wx in np.arange(x + 16, x + wide - 28, 44):
            for wy in np.arange(FLOOR - high + 18, FLOOR - 62, 62):
                painter.shape(
                    "rectangle",
                    [wx, wy, wx + 24, wy + 36],
                    tuple(np.array([0.22, 0.27, 0.33]) * rng.uniform(0.7, 1.7)),
                    rng.uniform(0.05, 0.3),
                )
        x += wide
    for _ in range(9):  # trees and hedges
        x, size = rng.uniform(0, WIDTH), rng.uniform(34, 66)
        green = np.array([0.20, 0.33, 0.14]) * rng.uniform(0.7, 1.35)
        if rng.random() < 0.55:
            painter.shape("rectangle", [x - 6, FLOOR - 150, x + 6, FLOOR + 8], (0.28, 0.22, 0.17), 0.35)
            for _ in range(46):
                cx, cy, r = x + rng.normal(0, size * 0.6), FLOOR - 200 + rng.normal(0, size * 0.5), rng.uniform(8, 20)
                painter.shape(
                    "ellipse",
                    [cx - r, cy - r, cx + r, cy + r],
                    tuple(green * rng.uniform(0.6, 1.3)),
                    rng.uniform(0.45, 0.9),
                )
        else:
            for _ in range(60):
                cx, cy, r = x + rng.uniform(-1.6, 1.6) * size, FLOOR - rng.uniform(-6, 52), rng.uniform(6, 13)
                painter.shape(
                    "ellipse",
                    [cx - r, cy - r, cx + r, cy + r],
                    tuple(green * rng.uniform(0.6, 1.3)),
                    rng.uniform(0.45, 0.9),
                )
    _ground(
        painter,
        np.array([0.47, 0.46, 0.45]) * rng.uniform(0.85, 1.15) + rng.normal(0, 0.01, 3),
        rng.uniform(0.2, 0.4),
        int(rng.integers(110, 200)),
        0.90,
    )
    for _ in range(4):  # parked cars
        x, ink, infrared = rng.uniform(0, WIDTH), _muted(rng, 0.14), rng.uniform(0.1, 0.7)
        painter.shape(
            "polygon",
            [(x + 24, FLOOR - 46), (x + 106, FLOOR - 46), (x + 126, FLOOR - 18), (x + 4, FLOOR - 18)],
            tuple(ink * 0.7),
            infrared * 0.6,
        )
        painter.shape("rectangle", [x - 8, FLOOR - 24, x + 148, FLOOR + 10], tuple(ink), infrared)
        for wheel in (14, 108):
            painter.shape("ellipse", [x + wheel, FLOOR - 4, x + wheel + 24, FLOOR + 20], (0.08, 0.08, 0.08), 0.06)
    painter.shape("polygon", [(0, 392), (WIDTH, 408), (WIDTH, 414), (0, 398)], (0.80, 0.80, 0.78), 0.7)
    for x in range(0, WIDTH, 90):  # railing
        painter.shape("line", [x, FLOOR - 30, x, FLOOR + 16], (0.33, 0.34, 0.35), 0.3, width=4)
    painter.shape("line", [0, FLOOR - 26, WIDTH, FLOOR - 26], (0.36, 0.37, 0.38), 0.35, width=4)
