"""Attention overlays: feature map energy drawn over the input image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from vireid.visualize.tiles import LINE, PAPER, Photographs, write_lines

GAP, MARGIN, TITLE, NAME = 6, 16, 30, 110  # pixels; NAME: width of the column of row names
SHARE = 0.5  # weight of the map in the overlay at its maximum


def overlay(picture: Image.Image, attention: np.ndarray) -> Image.Image:
    """Blend a map (H, W) in [0, 1] as a blue-to-red heat map over the gray image; opacity grows with the value."""
    import matplotlib

    values = np.clip(np.nan_to_num(attention), 0, 1)
    wide = Image.fromarray((255 * values).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    strength = np.asarray(wide, np.float32) / 255
    colors = matplotlib.colormaps["jet"](strength)[..., :3] * 255
    gray = np.asarray(picture.convert("L").convert("RGB"), np.float32)
    share = (SHARE * (0.3 + 0.7 * strength))[..., None]
    return Image.fromarray(((1 - share) * gray + share * colors).round().astype(np.uint8))


def scaled(maps: np.ndarray) -> np.ndarray:
    """Scale each map of (N, H, W) to the range [0, 1]."""
    low = maps.min(axis=(1, 2), keepdims=True)
    span = maps.max(axis=(1, 2), keepdims=True) - low
    return (maps - low) / np.where(span > 0, span, 1)


def draw_attention(
    paths: Sequence[str],
    lines: Sequence[Sequence[str]],
    maps: Mapping[str, np.ndarray],
    photographs: Photographs,
    *,
    title: str,
) -> Image.Image:
    """Draw one column for each image: the image, and below it the overlay of each network.

    Args:
        paths: Image files.
        lines: Caption lines of each image, drawn at the bottom of its column.
        maps: Name of the network -> maps (N, H, W) in the order of `paths`.
        photographs: Reads the images.
        title: Text above the images.
    """
    width, height = photographs.size
    rows = 1 + len(maps)
    picture = Image.new(
        "RGB",
        (2 * MARGIN + NAME + len(paths) * (width + GAP), 2 * MARGIN + TITLE + rows * (height + GAP) + 3 * LINE),
        PAPER,
    )
    write_lines(picture, (MARGIN, MARGIN), [title], size=15, anchor="la")
    for row, (name, values) in enumerate([("image", None), *((n, scaled(v)) for n, v in maps.items())]):
        top = MARGIN + TITLE + row * (height + GAP)
        write_lines(picture, (MARGIN, top + height / 2 - LINE), _wrapped(name), anchor="la")
        for column, path in enumerate(paths):
            tile = photographs(path)
            tile = tile if values is None else overlay(tile, values[column])
            picture.paste(tile, (MARGIN + NAME + column * (width + GAP), top))
    bottom = MARGIN + TITLE + rows * (height + GAP)
    for column, words in enumerate(lines):
        write_lines(picture, (MARGIN + NAME + column * (width + GAP) + width / 2, bottom), words)
    return picture


def _wrapped(name: str, letters: int = 16) -> list[str]:
    lines = [""]
    for word in name.split():
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) <= letters or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
