from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

from vireid.data.images.decode import displayed_image, read_image, read_pixels
from vireid.data.images.depth import DepthMapping

RGB, LAB = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")


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
    assert read_pixels(str(tmp_path / "a.png")) == (
        None,
        "color mode RGBA (RGB with transparency), expected RGB or gray of 8 bits; convert it with Pillow:"
        " ImageOps.exif_transpose(Image.open(file)).convert('RGB').save(file)",
    )


def colors(seed: int = 0, mode: str = "RGB") -> Image.Image:
    """A smooth picture without symmetry, so that every orientation of it is another picture."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 3, 3), np.uint8)
    return Image.fromarray(small).resize((24, 48), Image.Resampling.BICUBIC).convert(mode)


STORED = {  # EXIF orientation -> how an upright picture is stored, so that a viewer turns it back
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".jfif"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("orientation", STORED)
def test_the_exif_orientation_is_applied(tmp_path: Path, orientation: int, mode: str, suffix: str) -> None:
    upright, file, exif = colors(mode=mode), tmp_path / f"a{suffix}", Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    method = STORED[orientation]
    stored = upright if method is None else upright.transpose(method)
    options = {".webp": {"lossless": True}, ".jpg": {"quality": 98}, ".jfif": {"quality": 98}}.get(suffix, {})
    stored.save(file, format="JPEG" if suffix == ".jfif" else None, exif=exif, **options)
    pixels, fault = read_pixels(str(file))
    assert fault == ""
    expected = np.asarray(upright.convert("RGB")).astype(int)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).mean() < 3
    shown = np.asarray(displayed_image(str(file))).astype(int)
    np.testing.assert_array_equal(shown, pixels)
    resized, _ = read_pixels(str(file), (12, 6))
    np.testing.assert_array_equal(
        resized, np.asarray(Image.fromarray(pixels).resize((6, 12), Image.Resampling.LANCZOS))
    )


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\x00\x00garbage",
        b"Exif\x00\x00",
        b"Exif\x00\x00II*\x00\xff\xff\xff\xff",
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01\x12\x00\x03",
    ],
)
def test_exif_data_that_cannot_be_read_is_ignored(tmp_path: Path, exif: bytes) -> None:
    colors().save(tmp_path / "plain.jpg", quality=98)
    colors().save(tmp_path / "exif.jpg", quality=98, exif=exif)
    pixels, fault = read_pixels(str(tmp_path / "exif.jpg"))
    assert fault == ""
    np.testing.assert_array_equal(pixels, read_pixels(str(tmp_path / "plain.jpg"))[0])


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_do_not_exist_are_ignored(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    colors().save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_pixels(str(tmp_path / "a.png"))[0], np.asarray(colors()))


MODES = {"1": ".png", "P": ".png", "RGBA": ".png", "LA": ".png", "CMYK": ".jpg", "YCbCr": ".tif", "LAB": ".tif"}


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_color_mode_comes_with_a_conversion_that_works(tmp_path: Path, mode: str) -> None:
    """Also of a picture that is stored sideways: the conversion must not lose its orientation."""
    file, exif = str(tmp_path / f"a{MODES[mode]}"), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image = colors().transpose(Image.Transpose.ROTATE_90)
    image = ImageCms.profileToProfile(image, RGB, LAB, outputMode="LAB") if mode == "LAB" else image.convert(mode)
    image.save(file, exif=exif)
    reading = read_image(file)
    if mode == "YCbCr" and reading.pixels is not None:
        pytest.skip("this Pillow opens such a file as RGB")
    assert reading.pixels is None
    assert reading.refused_mode == mode
    assert reading.fault.startswith(f"color mode {mode}")
    _, call = reading.fault.split("; convert it with Pillow: ")
    eval(call, {"Image": Image, "ImageOps": ImageOps, "file": file})
    pixels, fault = read_pixels(file)
    assert fault == ""
    assert pixels.shape == (48, 24, 3)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm", "float.tif"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_deep_gray_is_refused_with_the_option_and_mapped_with_it(tmp_path: Path, name: str, orientation: int) -> None:
    values = np.arange(48 * 24).reshape(48, 24) * 37 + 5000
    file, exif = str(tmp_path / name), Image.Exif()
    image = Image.fromarray(values.astype(np.float32 if name.startswith("float") else np.uint16))
    if name != "a.pgm":
        exif[ExifTags.Base.Orientation] = orientation
        image = image if orientation == 1 else image.transpose(Image.Transpose.ROTATE_90)
    image.save(file, **({} if name == "a.pgm" else {"exif": exif}))
    assert "DATA.DEPTH '{percentiles: [1, 99]}' maps such images to 8 bits" in read_pixels(file)[1]
    depth = DepthMapping(range=(5000, 5000 + 37 * (48 * 24 - 1)))
    pixels, fault = read_pixels(file, depth=depth)
    assert fault == ""
    np.testing.assert_array_equal(pixels, np.repeat(depth(values)[:, :, None], 3, axis=2))
    assert displayed_image(file).size == (24, 48)


def test_images_of_8_bits_are_not_touched_by_the_option(tmp_path: Path) -> None:
    colors(mode="L").save(tmp_path / "a.png")
    depth = DepthMapping(percentiles=(10, 90))
    np.testing.assert_array_equal(
        read_pixels(str(tmp_path / "a.png"), depth=depth)[0], read_pixels(str(tmp_path / "a.png"))[0]
    )


@pytest.mark.parametrize("suffix", [".tif", ".webp", ".png"])
def test_files_of_several_pages_are_refused(tmp_path: Path, suffix: str) -> None:
    file = str(tmp_path / f"a{suffix}")
    colors().save(file, save_all=True, append_images=[colors(1), colors(2)])
    assert read_pixels(file) == (None, "3 pages or frames in one file, expected one; save a single one")


def test_of_a_stereo_jpeg_the_photograph_is_read(tmp_path: Path) -> None:
    """Phones add small pictures to the photograph; the file is called .jpg all the same."""
    file = tmp_path / "a.jpg"
    colors().save(file, format="MPO", save_all=True, append_images=[colors(1)], quality=98)
    pixels, fault = read_pixels(str(file))
    assert fault == ""
    assert np.abs(pixels.astype(int) - np.asarray(colors()).astype(int)).mean() < 3


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2)])
def test_smallest_images(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (9, 8, 7)).save(tmp_path / "a.png")
    pixels, _ = read_pixels(str(tmp_path / "a.png"), (24, 12))
    assert np.unique(pixels.reshape(-1, 3), axis=0).tolist() == [[9, 8, 7]]


def test_colors_of_16_bits_are_refused(tmp_path: Path) -> None:
    """Pillow reads them as their upper bytes: a frame of 12 bits would be nearly black."""
    content = b"".join(b"\0" + np.full(3 * 8, 4000, ">u2").tobytes() for _ in range(4))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 8, 4, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(content)),
        (b"IEND", b""),
    ]
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    ]
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    found = read_image(str(tmp_path / "deep.png"))
    assert (found.pixels, found.refused_mode) == (None, "RGB;16")
    assert "RGB of 16 bits, of which Pillow keeps the upper 8" in found.fault
    assert ".convert('RGB').save(file)" in found.fault
