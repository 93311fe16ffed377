"""Image tiles: read an image, fit it into a box, frame it as query, correct match or incorrect match."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from enum import Enum

from PIL import Image, ImageDraw, ImageFont

from vireid.data.images.decode import displayed_image

CORRECT_COLOR = (0, 138, 92)
INCORRECT_COLOR = (205, 48, 34)
QUERY_COLOR = (52, 101, 164)
BACKGROUND = (120, 120, 120)  # padding of an image whose aspect ratio differs from that of the box
FRAME = 5  # pixels
PAPER, INK, FAINT = (255, 255, 255), (28, 30, 34), (104, 110, 120)
LINE = 15  # height of a line of text in a picture


class Verdict(Enum):
    """Role of a framed image. The value is the color of the frame; matches carry a tick or a cross as well."""

    QUERY = QUERY_COLOR
    CORRECT = CORRECT_COLOR
    INCORRECT = INCORRECT_COLOR

    @classmethod
    def of(cls, correct: bool) -> Verdict:
        return cls.CORRECT if correct else cls.INCORRECT


class Photographs:
    """Read images by path, cached. An unreadable image becomes a gray box with a question mark.

    Args:
        size: Width and height of the box in pixels. Images keep their aspect ratio.

    Attributes:
        unreadable: Path -> reason of the images that could not be read.
    """

    def __init__(self, size: tuple[int, int] = (80, 160)) -> None:
        self.size = size
        self.unreadable: dict[str, str] = {}  # path -> reason
        self._images: dict[str, Image.Image] = {}

    def __call__(self, path: str) -> Image.Image:
        if path not in self._images:
            self._images[path] = self._read(path)
        return self._images[path].copy()

    def _read(self, path: str) -> Image.Image:
        try:
            image = displayed_image(path)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            self.unreadable[path] = "missing" if isinstance(error, FileNotFoundError) else "not an image"
            return _placeholder(self.size)
        width, height = self.size
        scale = min(width / image.width, height / image.height)
        fitted = image.resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.LANCZOS
        )
        if fitted.size == self.size:
            return fitted
        box = Image.new("RGB", self.size, BACKGROUND)
        box.paste(fitted, ((width - fitted.width) // 2, (height - fitted.height) // 2))
        return box


def framed(image: Image.Image, verdict: Verdict) -> Image.Image:
    """Add a frame in the color of the verdict, and a tick or a cross on matches."""
    tile = Image.new("RGB", (image.width + 2 * FRAME, image.height + 2 * FRAME), verdict.value)
    tile.paste(image, (FRAME, FRAME))
    if verdict is not Verdict.QUERY:
        size = max(14, image.width // 4)
        tile.paste(_badge(verdict, size), (tile.width - size, 0))
    return tile


def _badge(verdict: Verdict, size: int) -> Image.Image:
    """Draw a white tick or cross on the color of the verdict."""
    large = 8 * size
    badge = Image.new("RGB", (large, large), verdict.value)
    draw, width = ImageDraw.Draw(badge), large // 9
    strokes = {
        Verdict.CORRECT: [[(0.22, 0.52), (0.43, 0.73), (0.80, 0.28)]],
        Verdict.INCORRECT: [[(0.26, 0.26), (0.74, 0.74)], [(0.74, 0.26), (0.26, 0.74)]],
    }[verdict]
    for stroke in strokes:
        draw.line([(x * large, y * large) for x, y in stroke], fill=PAPER, width=width, joint="curve")
    return badge.resize((size, size), Image.Resampling.LANCZOS)


def _placeholder(size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size, (168, 168, 168))
    ImageDraw.Draw(image).text((size[0] / 2, size[1] / 2), "?", fill=INK, font=font(28), anchor="mm")
    return image


def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Return the font that Pillow ships, so that pictures look the same on all machines."""
    return ImageFont.load_default(size)


def write_lines(
    picture: Image.Image, at: tuple[float, float], lines: Sequence[str], *, size: int = 12, anchor: str = "ma"
) -> None:
    """Write lines of text below each other; the first in INK, the others in FAINT."""
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        color = INK if number == 0 else FAINT
        draw.text((at[0], at[1] + number * LINE), line, fill=color, font=font(size), anchor=anchor)


def data_uri(image: Image.Image, quality: int = 84) -> str:
    """Encode an image as a JPEG data URI, without chroma subsampling, which would blur the frames."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def png_uri(content: bytes) -> str:
    """Encode PNG bytes as a data URI."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def png(image: Image.Image) -> bytes:
    """Encode an image as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
