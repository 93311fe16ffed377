from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vireid.core.errors import DataError
from vireid.core.types import Modality, Sample
from vireid.data.images.cache import open_images
from vireid.data.loading import BatchLoader
from vireid.data.rows import RowView, open_rows

SIZE = (6, 4)


def array(file: Path, count: int, size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *size, 3), np.uint8)
    np.save(file, pixels)
    return pixels


def samples(*places: str | Path) -> list[Sample]:
    return [Sample(Path(place), 0, Modality.VISIBLE, 1) for place in places]


def refusal(listing: list[Sample], size: tuple[int, int] = SIZE) -> DataError:
    with pytest.raises(DataError) as caught:
        open_rows(listing, size=size)
    return caught.value


def test_files_are_not_rows(tmp_path: Path) -> None:
    assert open_rows(samples(tmp_path / "1.jpg", "a.npy", "a.npy/x.jpg"), size=SIZE) is None


def test_a_whole_array_in_order_is_its_own_memory_map(tmp_path: Path) -> None:
    pixels = array(tmp_path / "a.npy", 3)
    images = open_images(
        samples(*(tmp_path / "a.npy" / str(n) for n in range(3))), size=SIZE, folder=tmp_path / "cache"
    )
    assert isinstance(images, np.memmap)
    np.testing.assert_array_equal(images, pixels)
    assert not (tmp_path / "cache").exists()


def test_any_rows_of_several_arrays(tmp_path: Path) -> None:
    a, b = array(tmp_path / "a.npy", 3), array(tmp_path / "b.npy", 4, seed=1)
    view = open_rows(samples(*(tmp_path / place for place in ("b.npy/3", "a.npy/0", "b.npy/0", "a.npy/2"))), size=SIZE)
    assert isinstance(view, RowView)
    assert all(isinstance(each, np.memmap) for each in view.arrays)  # nothing was read
    expected = np.stack([b[3], a[0], b[0], a[2]])
    assert (len(view), view.shape, view.dtype) == (4, (4, *SIZE, 3), np.uint8)
    np.testing.assert_array_equal(view.take(np.arange(4)), expected)
    np.testing.assert_array_equal(np.take(view, [3, 3, 1], axis=0), expected[[3, 3, 1]])
    out = np.empty((2, *SIZE, 3), np.uint8)
    assert view.take(np.array([2, 0]), out=out) is out
    np.testing.assert_array_equal(out, expected[[2, 0]])
    with pytest.raises(ValueError, match="axis must be 0, got 1"):
        view.take([0], axis=1)


def test_a_loader_takes_them_as_it_takes_a_cache(tmp_path: Path) -> None:
    a, b = array(tmp_path / "a.npy", 3), array(tmp_path / "b.npy", 4, seed=1)
    listing = samples(
        *(tmp_path / "a.npy" / str(n) for n in range(3)), *(tmp_path / "b.npy" / str(n) for n in range(4))
    )
    rows = [[5, 0], [6]]
    view, whole = open_rows(listing, size=SIZE), np.concatenate([a, b])
    for ours, theirs in zip(BatchLoader(listing, view, rows), BatchLoader(listing, whole, rows), strict=True):
        assert torch.equal(ours.images, theirs.images)


def test_another_size_names_both(tmp_path: Path) -> None:
    array(tmp_path / "a.npy", 2)
    (finding,) = refusal(samples(tmp_path / "a.npy/0"), size=(288, 144)).findings
    assert finding.path == tmp_path / "a.npy"
    assert finding.text == (
        f"{tmp_path}/a.npy holds images of 6 x 4 (height x width), but SIZE is 288 x 144:"
        " set SIZE to [6, 4], or use the image files"
    )


def test_all_faults_of_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "floats.npy", np.zeros((2, *SIZE, 3)))
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    array(tmp_path / "cut.npy", 4)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-10])
    array(tmp_path / "short.npy", 2)
    names = ("absent.npy/0", "floats.npy/0", "pickle.npy/0", "cut.npy/0", "short.npy/1", "short.npy/2")
    error = refusal(samples(*(tmp_path / name for name in names)))
    assert error.text == "arrays of images cannot be used"
    faults = [finding.text for finding in error.findings]
    assert len(faults) == 5
    assert faults[0] == f"{tmp_path}/absent.npy cannot be read: No such file or directory"
    assert faults[1] == f"{tmp_path}/floats.npy holds float64 (2, 6, 4, 3), expected uint8 (images, height, width, 3)"
    assert faults[2].startswith(f"{tmp_path}/pickle.npy is damaged or not a .npy file: ")
    assert faults[3].startswith(f"{tmp_path}/cut.npy is damaged or not a .npy file: ")
    assert faults[4] == f"rows beyond the end of their array: {tmp_path}/short.npy/2"


def test_rows_and_files_in_one_list(tmp_path: Path) -> None:
    array(tmp_path / "a.npy", 2)
    assert refusal(samples(tmp_path / "a.npy/0", tmp_path / "1.jpg")).text == (
        f"rows of {tmp_path}/a.npy and files such as {tmp_path}/1.jpg are in one list; use one kind for a split"
    )
