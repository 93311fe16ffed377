"""Pictures of single people: read, fitted into a box, framed by what they are."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from enum import Enum

from PIL import Image, ImageDraw, ImageFont

from vireid.data.images.decode import displayed_image

RIGHT_COLOUR = (0, 138, 92)
WRONG_COLOUR = (205, 48, 34)
QUERY_COLOUR = (52, 101, 164)
BACKGROUND = (120, 120, 120)  # beside an image whose shape is not the box's
FRAME = 5  # pixels
PAPER, INK, FAINT = (255, 255, 255), (28, 30, 34), (104, 110, 120)
LINE = 15  # height of a line of text in a picture


class Verdict(Enum):
    """What a framed picture is: its colour, and for an answer also a mark, so that colour is not the only sign."""

    QUERY = QUERY_COLOUR
    RIGHT = RIGHT_COLOUR
    WRONG = WRONG_COLOUR

    @classmethod
    def of(cls, correct: bool) -> Verdict:
        return cls.RIGHT if correct else cls.WRONG


class Photographs:
    """Reads images by path and remembers which could not be read; those become a grey box with a question mark.

    `size`: (width, height) of the box in pixels; images keep their shape.
    """

    def __init__(self, size: tuple[int, int] = (80, 160)) -> None:
        self.size = size
        self.unreadable: dict[str, str] = {}  # path -> reason
        self._seen: dict[str, Image.Image] = {}

    def __call__(self, path: str) -> Image.Image:
        if path not in self._seen:
            self._seen[path] = self._read(path)
        return self._seen[path].copy()

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
    """The picture with FRAME pixels of the verdict's colour around it; a right one with a tick, a wrong one a cross."""
    tile = Image.new("RGB", (image.width + 2 * FRAME, image.height + 2 * FRAME), verdict.value)
    tile.paste(image, (FRAME, FRAME))
    if verdict is not Verdict.QUERY:
        size = max(14, image.width // 4)
        tile.paste(_badge(verdict, size), (tile.width - size, 0))
    return tile


def _badge(verdict: Verdict, size: int) -> Image.Image:
    """A white tick or cross on the verdict's colour."""
    large = 8 * size
    badge = Image.new("RGB", (large, large), verdict.value)
    draw, width = ImageDraw.Draw(badge), large // 9
    strokes = {
        Verdict.RIGHT: [[(0.22, 0.52), (0.43, 0.73), (0.80, 0.28)]],
        Verdict.WRONG: [[(0.26, 0.26), (0.74, 0.74)], [(0.74, 0.26), (0.26, 0.74)]],
    }[verdict]
    for stroke in strokes:
        draw.line([(x * large, y * large) for x, y in stroke], fill=PAPER, width=width, joint="curve")
    return badge.resize((size, size), Image.Resampling.LANCZOS)


def _placeholder(size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size, (168, 168, 168))
    ImageDraw.Draw(image).text((size[0] / 2, size[1] / 2), "?", fill=INK, font=font(28), anchor="mm")
    return image


def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """The font of all pictures; it comes with Pillow, so that they look alike everywhere."""
    return ImageFont.load_default(size)


def write_lines(
    picture: Image.Image, at: tuple[float, float], lines: Sequence[str], *, size: int = 12, anchor: str = "ma"
) -> None:
    """Lines of text below each other; the first is ink, the others faint."""
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        colour = INK if number == 0 else FAINT
        draw.text((at[0], at[1] + number * LINE), line, fill=colour, font=font(size), anchor=anchor)


def data_uri(image: Image.Image, quality: int = 84) -> str:
    """A JPEG inside the text of a page; colours at full resolution, so that a frame keeps its edge."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def png_uri(content: bytes) -> str:
    """A PNG inside the text of a page."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def png(image: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
