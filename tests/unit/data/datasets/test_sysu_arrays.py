from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from vireid.core.errors import DataError
from vireid.core.types import DatasetInfo, Modality
from vireid.data.check import check_dataset
from vireid.data.datasets.sysu import SysuMM01
from vireid.data.datasets.sysu_arrays import SysuArrays
from vireid.data.images.cache import open_images

SIZE = (24, 12)
Write = Callable[..., Path]


@pytest.fixture
def write(sysu_root: Path, tmp_path: Path) -> Write:
    """The released pre-processing: arrays of the training set, their names glued to `prefix`."""

    def make(prefix: str = "arrays/", cameras: bool = False, **changes: np.ndarray) -> Path:
        listing = SysuMM01(root=str(sysu_root)).train()
        for modality, word in ((Modality.VISIBLE, "rgb"), (Modality.INFRARED, "ir")):
            part = [sample for sample in listing if sample.modality == modality]
            made = {
                "img": np.asarray(open_images(part, size=SIZE, folder=tmp_path / "cache")),
                "label": np.array([sample.identity for sample in part]),
                **({"camera": np.array([sample.camera for sample in part])} if cameras else {}),
            }
            for name, values in made.items():
                key = f"{word}_{name}"
                file = Path(f"{tmp_path}/{prefix}train_{word}_resized_{name}.npy")
                file.parent.mkdir(exist_ok=True)
                np.save(file, changes.get(key, values))
        return tmp_path / prefix

    return make


def refusal(arrays: Path, root: Path, attributes: Path | None = None) -> list[str]:
    dataset = SysuArrays(arrays=str(arrays), root=str(root), attributes=None if attributes is None else str(attributes))
    with pytest.raises(DataError) as caught:
        dataset.train()
    assert caught.value.text == f"{arrays} and {root} cannot be used as SYSU-MM01"
    assert dataset.listing().findings == caught.value.findings
    return [str(finding) for finding in caught.value.findings]


def test_the_arrays_hold_what_the_folders_hold(write: Write, sysu_root: Path, tmp_path: Path) -> None:
    ours = SysuArrays(arrays=str(write(cameras=True)), root=str(sysu_root))
    theirs = SysuMM01(root=str(sysu_root))
    listing = sorted(theirs.train(), key=lambda sample: sample.modality)  # stable: visible first, each in its order
    samples = ours.train()
    assert [(s.identity, s.modality, s.camera) for s in samples] == [
        (s.identity, s.modality, s.camera) for s in listing
    ]
    images = open_images(samples, size=SIZE, folder=tmp_path / "none")
    expected = open_images(listing, size=SIZE, folder=tmp_path / "cache")
    np.testing.assert_array_equal(images.take(np.arange(len(samples)), axis=0), expected)
    assert not (tmp_path / "none").exists()
    assert ours.test() == theirs.test()
    assert ours.facts() == theirs.facts() == DatasetInfo(num_ids=3, num_cameras=6)
    assert ours.checkpoint_key == theirs.checkpoint_key


def test_without_camera_arrays_the_camera_is_not_known(write: Write, sysu_root: Path) -> None:
    assert {s.camera for s in SysuArrays(arrays=str(write()), root=str(sysu_root)).train()} == {0}


@pytest.mark.parametrize(("prefix", "given"), [("ori_data", "ori_data"), ("sub/ori_data", "sub"), ("a/", "a/")])
def test_names_with_and_without_the_separator(
    write: Write, sysu_root: Path, tmp_path: Path, prefix: str, given: str
) -> None:
    write(prefix)
    samples = SysuArrays(arrays=str(tmp_path / given), root=str(sysu_root)).train()
    assert str(samples[0].path) == f"{tmp_path}/{prefix}train_rgb_resized_img.npy/0"


def test_two_makings_side_by_side_are_refused(write: Write, sysu_root: Path, tmp_path: Path) -> None:
    write("data/")
    write("data")
    faults = refusal(tmp_path / "data", sysu_root)
    assert faults[0] == (
        f"there are several train_rgb_resized_img.npy: {tmp_path}/data/train_rgb_resized_img.npy,"
        f" {tmp_path}/datatrain_rgb_resized_img.npy; DATA.ARRAYS must hold one"
    )
    assert len(faults) == 4


def test_labels_that_are_not_contiguous_become_ranks(write: Write, sysu_root: Path) -> None:
    root = write()
    for word in ("rgb", "ir"):
        file = root / f"train_{word}_resized_label.npy"
        np.save(file, np.load(file) * 7 + 3)
    assert {s.identity for s in SysuArrays(arrays=str(root), root=str(sysu_root)).train()} == {0, 1, 2}


def test_every_fault_at_once(write: Write, sysu_root: Path) -> None:
    arrays = write(ir_img=np.zeros((7, 24, 13, 3), np.uint8), rgb_label=np.zeros(3, np.int64), cameras=True)
    (arrays / "train_ir_resized_label.npy").unlink()
    (sysu_root / "exp" / "test_id.txt").write_text("twenty")
    assert refusal(arrays, sysu_root) == [
        "train_rgb_resized_label.npy holds 3 numbers for 10 images; both must be from one run of the pre-processing",
        f"train_ir_resized_label.npy is missing (looked for {arrays}/train_ir_resized_label.npy and"
        f" {arrays}train_ir_resized_label.npy); DATA.ARRAYS is the folder of it",
        "exp/test_id.txt, line 1: 'twenty' is not an identity number (the line: 'twenty')",
    ]


def test_faults_between_the_arrays(write: Write, sysu_root: Path) -> None:
    arrays = write(
        ir_img=np.zeros((8, 24, 13, 3), np.uint8),
        ir_label=np.array([0, 0, 0, 0, 2, 2, 5, 5]),
        ir_camera=np.array([3, 3, 3, 3, 1, 9, 6, 6]),
        cameras=True,
    )
    assert refusal(arrays, sysu_root) == [
        "train_ir_resized_camera.npy has cameras that are not infrared (3, 6): 1, 9",
        "the arrays hold images of different sizes (train_rgb_resized_img.npy: 24 x 12 and"
        " train_ir_resized_img.npy: 24 x 13)",
        "labels without visible images in the arrays: 5",
        "labels without infrared images in the arrays: 1",
    ]


def test_labels_that_are_not_integers(write: Write, sysu_root: Path) -> None:
    assert refusal(write(rgb_label=np.zeros((10, 1))), sysu_root)[0] == (
        "train_rgb_resized_label.npy holds float64 (10, 1), expected one integer for each image"
    )


def matrices(folder: Path) -> Path:
    folder.mkdir()
    for camera in range(1, 7):
        values = np.ones((8, 20), np.uint8)
        values[:, [4, 6, 2]] = 0
        values[3, 4] = camera == 6  # identity 5
        savemat(folder / f"cam{camera}_att.mat", {f"cam{camera}_att": values})
    return folder


def test_attributes_by_camera_need_camera_arrays(write: Write, sysu_root: Path, tmp_path: Path) -> None:
    place = matrices(tmp_path / "attributes")
    ours = SysuArrays(arrays=str(write(cameras=True)), root=str(sysu_root), attributes=str(place))
    theirs = SysuMM01(root=str(sysu_root), attributes=str(place))
    assert {(s.identity, s.camera): s.attributes for s in ours.train()} == {
        (s.identity, s.camera): s.attributes for s in theirs.train()
    }
    assert ours.facts() == theirs.facts()
    assert refusal(write("bare/"), sysu_root, place) == [
        f"attributes {place}: the rows are by camera, but there are no camera arrays"
        " (train_rgb_resized_camera.npy); use a .csv table by identity, or SysuMM01"
    ]


def test_attributes_need_the_lists_that_the_arrays_were_made_from(
    write: Write, sysu_root: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("identity,bag\n5,1\n7,0\n12,\n3,0\n20,0\n")
    arrays = write()
    samples = SysuArrays(arrays=str(arrays), root=str(sysu_root), attributes=str(table)).train()
    assert {s.identity: s.attributes for s in samples} == {0: (1,), 1: (0,), 2: None}
    (sysu_root / "exp" / "val_id.txt").write_text("7,8")
    assert refusal(arrays, sysu_root, table) == [
        "the arrays hold 3 identities, exp/train_id.txt and exp/val_id.txt list 4: attributes cannot be"
        " assigned; provide the lists that the arrays were made from"
    ]


def test_the_check_reads_arrays_too(write: Write, sysu_root: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, *SIZE, 3), np.uint8)
    images[9] = images[0]
    arrays = write(rgb_img=images)
    dataset = SysuArrays(arrays=str(arrays), root=str(sysu_root))
    report = check_dataset(dataset, size=SIZE)
    assert report.usable
    assert report.counts["train"]["all"].images == 18
    file = f"{arrays}/train_rgb_resized_img.npy"
    groups = [
        each.text for section in report.notes for each in section.findings if each.text.startswith(f"{file}/0 = ")
    ]
    assert groups == [f"{file}/0 = {file}/9"]
    report = check_dataset(dataset, size=(288, 144))
    (section,) = report.faults
    words = {str(arrays / f"train_{word}_resized_img.npy") for word in ("rgb", "ir")}
    assert {str(finding.path) for finding in section.findings} == words
    assert all("SIZE is 288 x 144: set SIZE to [24, 12]" in finding.text for finding in section.findings)


def test_arrays_without_images_are_a_fault(write: Write, sysu_root: Path) -> None:
    arrays = write(rgb_img=np.zeros((0, 24, 12, 3), np.uint8), rgb_label=np.zeros(0, np.int64))
    assert "train_rgb_resized_label.npy is empty: there is no image" in refusal(arrays, sysu_root)


@pytest.mark.parametrize("images", [1, 2, 3])
def test_few_images(write: Write, sysu_root: Path, images: int) -> None:
    some, labels = np.zeros((images, 24, 12, 3), np.uint8), np.arange(images, dtype=np.uint64) + np.uint64(2**63)
    arrays = write(rgb_img=some, rgb_label=labels, ir_img=some, ir_label=labels)
    data = SysuArrays(arrays=str(arrays), root=str(sysu_root))
    assert [s.identity for s in data.train()] == [*range(images)] * 2
    assert open_images(data.train(), size=SIZE, folder=arrays / "none").shape == (2 * images, 24, 12, 3)


def test_the_training_folders_are_named_by_their_lists(write: Write, sysu_root: Path) -> None:
    """Only the test part is read from files, but nothing of the training part counts as left out."""
    arrays = write()
    assert len(SysuArrays(arrays=str(arrays), root=str(sysu_root)).listing().left_out) == 0
    (sysu_root / "cam1" / "0099").mkdir()
    left_out = SysuArrays(arrays=str(arrays), root=str(sysu_root)).listing().left_out
    assert left_out.paths == {"folder of an identity that no list in exp names": [sysu_root / "cam1" / "0099"]}
