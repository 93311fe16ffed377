"""What the image cache is made from: another root, content, time, size or mapping of gray values is another cache."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vireid.core.errors import DataError
from vireid.core.types import Modality, Sample
from vireid.data.images import cache
from vireid.data.images.cache import open_images
from vireid.data.images.depth import DepthMapping

SIZE = (24, 12)
DEPTH = DepthMapping(percentiles=(1, 99))


@pytest.fixture
def samples(tmp_path: Path, make_image: Callable[..., None]) -> list[Sample]:
    """Five images of different sizes."""
    files = [tmp_path / "data" / f"cam{1 + n % 2}" / f"{n:04d}.png" for n in range(5)]
    for seed, file in enumerate(files):
        make_image(file, seed, size=(30 + 7 * seed, 15 + seed))
    return [Sample(file, 0, Modality.VISIBLE, 1) for file in files]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def reference(samples: list[Sample]) -> np.ndarray:
    return np.stack([np.array(Image.open(s.path).resize(SIZE[::-1], Image.Resampling.LANCZOS)) for s in samples])


def test_the_key_is_the_content_of_the_listing(samples: list[Sample], folder: Path, tmp_path: Path) -> None:
    def file(listing: list[Sample] = samples, size: tuple[int, int] = SIZE) -> str:
        return open_images(listing, size=size, folder=folder).filename

    first = file()
    assert file(samples[::-1]) != first
    assert file(samples[:4]) != first
    assert file(size=(12, 24)) != first
    labelled = [Sample(s.path, 9, Modality.INFRARED, 6) for s in samples]
    assert file(labelled) == first  # what is said about an image does not change its pixels
    shutil.copytree(tmp_path / "data", tmp_path / "elsewhere")  # keeps times
    assert file(below(tmp_path / "elsewhere", samples)) != first
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert file(below(tmp_path / "link", samples)) == first
    assert open_images(samples, size=SIZE, folder=folder, depth=DEPTH).filename != first
    os.utime(samples[2].path, ns=(1, 1))
    assert file() != first


def below(root: Path, samples: list[Sample]) -> list[Sample]:
    """The same relative paths in another root."""
    return [replace(s, path=root / s.path.parent.name / s.path.name) for s in samples]


def test_equal_sizes_and_times_in_another_folder_are_another_cache(tmp_path: Path, folder: Path) -> None:
    for time_ns in (0, 10**18):
        for name, gray in (("v1", 40), ("v2", 200)):
            file = tmp_path / name / "1.bmp"
            file.parent.mkdir(exist_ok=True)
            Image.new("RGB", (12, 24), (gray,) * 3).save(file)
            os.utime(file, ns=(time_ns, time_ns))
            images = open_images([Sample(file, 0, Modality.VISIBLE, 1)], size=SIZE, folder=folder)
            assert np.unique(images).tolist() == [gray]


def test_a_link_to_another_folder_is_another_cache(tmp_path: Path, folder: Path) -> None:
    """A dataset root, or a folder inside it, that is a link and is changed to a folder of equal sizes and times."""
    link = tmp_path / "current"
    for inside in ("1.bmp", "cam1/1.bmp"):
        for name, gray in (("v1", 40), ("v2", 200)):
            file = tmp_path / name / inside
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 24), (gray,) * 3).save(file)
            os.utime(file, ns=(0, 0))
            link.unlink(missing_ok=True)
            link.symlink_to(tmp_path / name)
            images = open_images([Sample(link / inside, 0, Modality.VISIBLE, 1)], size=SIZE, folder=folder)
            assert np.unique(images).tolist() == [gray]


@pytest.mark.parametrize("how", ["in place", "renamed"])
def test_a_file_replaced_with_equal_size_and_time_is_decoded_again(tmp_path: Path, folder: Path, how: str) -> None:
    """What `rsync --times` and `cp --preserve` do; the time of the inode's change tells."""
    file, other = tmp_path / "a" / "1.bmp", tmp_path / "b" / "1.bmp"
    for place, gray in ((file, 40), (other, 200)):
        place.parent.mkdir()
        Image.new("RGB", (12, 24), (gray,) * 3).save(place)
        os.utime(place, ns=(10**18, 10**18))
    samples = [Sample(file, 0, Modality.VISIBLE, 1)]
    assert np.unique(open_images(samples, size=SIZE, folder=folder)).tolist() == [40]
    if how == "in place":
        file.write_bytes(other.read_bytes())
        os.utime(file, ns=(10**18, 10**18))
    else:
        other.replace(file)
    assert np.unique(open_images(samples, size=SIZE, folder=folder)).tolist() == [200]


def test_rows_are_compared_with_their_files_when_a_cache_is_opened(
    samples: list[Sample], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An array of right checksums that is not made from these files."""
    file = Path(open_images(samples, size=SIZE, folder=folder).filename)
    pixels = np.load(file)
    pixels[3] = 255 - pixels[3]
    np.save(file, pixels)
    side = json.loads(file.with_suffix(".json").read_text())
    side.update(bytes=file.stat().st_size, checks=cache._checks(pixels))
    file.with_suffix(".json").write_text(json.dumps(side))
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(open_images(samples, size=SIZE, folder=folder), reference(samples))
    (record,) = caplog.records
    assert f"(row 3 differs from {samples[3].path}): rebuilding it" in record.getMessage()


def test_an_image_that_is_written_while_the_cache_is_made(
    samples: list[Sample], folder: Path, make_image: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = cache.read_pixels

    def written(*arguments: Any) -> Any:
        if arguments[0].endswith("0004.png"):
            make_image(samples[4].path, 99, size=(30, 15))
        return read(*arguments)

    monkeypatch.setattr(cache, "read_pixels", written)
    with pytest.raises(DataError, match=r"0004.png: it was changed while the cache was written; start again"):
        open_images(samples, size=SIZE, folder=folder, workers=1)
    assert not list(folder.glob("*.npy"))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_images(samples: list[Sample], folder: Path, count: int) -> None:
    for _ in range(2):
        images = open_images(samples[:count], size=SIZE, folder=folder)
        np.testing.assert_array_equal(images, reference(samples[:count]))


def test_deep_gray_is_refused_or_mapped(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "deep.png"
    Image.fromarray(np.arange(24 * 12, dtype=np.uint16).reshape(24, 12) * 100).save(file)
    samples = [Sample(file, 0, Modality.INFRARED, 1)]
    with pytest.raises(DataError, match=r"16-bit gray.*DATA.DEPTH '\{percentiles: \[1, 99\]\}' maps such images"):
        open_images(samples, size=SIZE, folder=folder)
    first = open_images(samples, size=SIZE, folder=folder, depth=DEPTH)
    assert (first.min(), first.max()) == (0, 255)
    wide = open_images(samples, size=SIZE, folder=folder, depth=DepthMapping(range=(0, 65535)))
    assert wide.max() == round(287 * 100 / 65535 * 255)


def test_file_names_that_are_not_utf8(folder: Path, tmp_path: Path, make_image: Callable[..., None]) -> None:
    file = tmp_path / os.fsdecode(b"a\xff.png")
    try:
        make_image(file, 0)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    samples = [Sample(file, 0, Modality.VISIBLE, 1)]
    for _ in range(2):
        np.testing.assert_array_equal(open_images(samples, size=SIZE, folder=folder), reference(samples))
