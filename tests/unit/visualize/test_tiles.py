"""Tiles: shape kept, frames and marks where they belong, unreadable images remembered."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vireid.visualize.tiles import (
    BACKGROUND,
    CORRECT_COLOR,
    FRAME,
    INCORRECT_COLOR,
    QUERY_COLOR,
    Photographs,
    Verdict,
    data_uri,
    framed,
)

SKIN = (200, 160, 130)


@pytest.mark.parametrize(
    ("verdict", "color"),
    [(Verdict.CORRECT, CORRECT_COLOR), (Verdict.INCORRECT, INCORRECT_COLOR), (Verdict.QUERY, QUERY_COLOR)],
)
def test_frame_has_the_colour_of_the_verdict_on_all_sides(verdict: Verdict, color: tuple[int, int, int]) -> None:
    tile = framed(Image.new("RGB", (40, 80), SKIN), verdict)
    assert tile.size == (40 + 2 * FRAME, 80 + 2 * FRAME)
    pixels = np.asarray(tile)
    below = pixels[30:]  # of the mark
    for side in (below[:, :FRAME], below[:, -FRAME:], below[-FRAME:], pixels[:FRAME, :20]):
        assert (side == color).all()
    assert (pixels[30:-FRAME, FRAME:-FRAME] == SKIN).all()


def test_right_and_wrong_differ_in_shape_and_not_only_in_colour() -> None:
    marks = {}
    for verdict in Verdict:
        corner = np.asarray(framed(Image.new("RGB", (80, 160), SKIN), verdict))[:20, -20:].astype(int)
        marks[verdict] = (corner > 240).all(axis=-1)  # white strokes
    assert not marks[Verdict.QUERY].any()
    assert marks[Verdict.CORRECT].sum() > 10
    assert marks[Verdict.INCORRECT].sum() > 10
    cross = marks[Verdict.INCORRECT]
    assert (cross == cross[::-1]).mean() > 0.97  # a cross is its own mirror image, a tick is not
    assert (marks[Verdict.CORRECT] == marks[Verdict.CORRECT][::-1]).mean() < 0.95


def test_images_keep_their_shape(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.new("RGB", (50, 50), SKIN).save(path)
    pixels = np.asarray(Photographs((40, 80))(str(path)))
    assert pixels.shape == (80, 40, 3)
    assert (pixels[20:60] == SKIN).all()
    assert (pixels[:20] == BACKGROUND).all()
    assert (pixels[60:] == BACKGROUND).all()


def test_grey_images_become_colour(tmp_path: Path) -> None:
    path = tmp_path / "infrared.png"
    Image.new("L", (20, 40), 77).save(path)
    assert (np.asarray(Photographs((40, 80))(str(path))) == 77).all()


def test_images_are_upright_and_deep_gray_is_visible(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    halves = np.zeros((40, 20, 3), np.uint8)
    halves[:20] = 255  # white above black
    Image.fromarray(halves).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "side.png", exif=exif)
    tile = np.asarray(Photographs((40, 80))(str(tmp_path / "side.png")))
    assert tile[:30].min() == 255
    assert tile[50:].max() == 0
    Image.fromarray(np.arange(800, dtype=np.uint16).reshape(40, 20) + 9000).save(tmp_path / "deep.png")
    deep = np.asarray(Photographs((40, 80))(str(tmp_path / "deep.png")))
    assert (deep.min(), deep.max()) == (0, 255)


def test_unreadable_images_are_boxes_and_remembered(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    photographs = Photographs((40, 80))
    for path in (str(broken), str(tmp_path / "absent.jpg"), str(broken)):
        assert photographs(path).size == (40, 80)
    assert photographs.unreadable == {str(broken): "not an image", str(tmp_path / "absent.jpg"): "missing"}


def test_data_uri_keeps_the_frame_colour() -> None:
    uri = data_uri(framed(Image.new("RGB", (40, 80), SKIN), Verdict.CORRECT))
    head, _, body = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(body)))).astype(int)
    assert abs(pixels[30:, 1] - CORRECT_COLOR).max() < 24
