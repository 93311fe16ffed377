from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vireid.data import reading
from vireid.data.reading import progress, read_pixels


def test_size_of_its_own_or_resized(tmp_path: Path, make_image: Callable[..., None]) -> None:
    make_image(tmp_path / "a.png", 0, size=(40, 20))
    pixels, fault = read_pixels(str(tmp_path / "a.png"))
    assert fault == ""
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(tmp_path / "a.png")))
    pixels, _ = read_pixels(io.BytesIO((tmp_path / "a.png").read_bytes()), (24, 12))
    assert pixels.shape == (24, 12, 3)
    make_image(tmp_path / "grey.png", 0, mode="L")
    pixels, _ = read_pixels(str(tmp_path / "grey.png"))
    assert (pixels[..., :1] == pixels).all()


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"", "the file is empty"), (b"<html>404</html>", "not an image"), (None, "image file is truncated")],
)
def test_files_and_bytes_have_the_same_faults(
    tmp_path: Path, make_image: Callable[..., None], content: bytes | None, fault: str
) -> None:
    file = tmp_path / "a.jpg"
    make_image(file, 0)
    file.write_bytes(file.read_bytes()[:-100] if content is None else content)
    for source in (str(file), io.BytesIO(file.read_bytes())):
        pixels, text = read_pixels(source)
        assert pixels is None
        assert text.startswith(fault)


def test_no_file_and_other_colours(tmp_path: Path, make_image: Callable[..., None]) -> None:
    assert read_pixels(str(tmp_path / "a.png")) == (None, "No such file or directory")
    assert read_pixels(str(tmp_path)) == (None, "Is a directory")
    make_image(tmp_path / "a.png", 0, mode="RGBA")
    assert read_pixels(str(tmp_path / "a.png")) == (None, "colour mode RGBA, expected RGB or grey")


def test_progress_in_a_log_file_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 4.0, 11.0, 11.0, 12.0])
    monkeypatch.setattr(reading.time, "monotonic", lambda: next(clock))
    with progress(300, "decoding images") as done:
        for _ in range(3):
            done(100)
    assert capsys.readouterr().err == "decoding images: 200 of 300\n"
