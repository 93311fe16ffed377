from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from vireid.core.errors import DataError
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.datasets.sysu import SysuMM01
from vireid.data.images.image_files import IMAGE_SUFFIXES


def relative(root: Path, samples: list[Sample]) -> list[str]:
    return [sample.path.relative_to(root).as_posix() for sample in samples]


def error_of(root: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        SysuMM01(root=str(root)).train()
    return caught.value


def text_of(root: Path) -> str:
    return str(error_of(root))


def texts_of(root: Path) -> list[str]:
    error = error_of(root)
    assert error.text == f"{root} cannot be used as SYSU-MM01"
    return [str(finding) for finding in error.findings]


def test_training_follows_the_released_pre_processing(sysu_root: Path) -> None:
    samples = SysuMM01(root=str(sysu_root)).train()
    assert relative(sysu_root, samples) == [
        f"cam{camera}/{name}/000{number}.jpg"
        for name, cameras in (("0005", (1, 2, 3, 6)), ("0007", (2, 3)), ("0012", (4, 5, 6)))
        for camera in cameras
        for number in (1, 2)
    ]
    assert [s.identity for s in samples] == [0] * 8 + [1] * 4 + [2] * 6
    assert {(s.camera, s.modality) for s in samples} == {
        (1, Modality.VISIBLE),
        (2, Modality.VISIBLE),
        (4, Modality.VISIBLE),
        (5, Modality.VISIBLE),
        (3, Modality.INFRARED),
        (6, Modality.INFRARED),
    }
    assert all(s.attributes is None for s in samples)


def test_test_images_are_sorted_by_identity_camera_and_name(sysu_root: Path) -> None:
    samples = SysuMM01(root=str(sysu_root)).test()
    assert relative(sysu_root, samples) == [
        f"cam{camera}/{name}/000{number}.jpg"
        for name, cameras in (("0003", (1, 2, 3, 4, 6)), ("0020", (5, 6)))
        for camera in cameras
        for number in (1, 2)
    ]
    assert [s.identity for s in samples] == [3] * 10 + [20] * 4


def test_facts(sysu_root: Path) -> None:
    assert SysuMM01(root=str(sysu_root)).facts() == DatasetInfo(num_ids=3, num_cameras=6)
    assert SysuMM01.placeholder == DatasetInfo(num_ids=395, num_cameras=6)
    assert SysuMM01(root="nowhere", attributes="labels").placeholder == DatasetInfo(395, 6, 8)


def test_relative_roots_and_home_are_expanded(sysu_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = SysuMM01(root=str(sysu_root)).train()
    assert SysuMM01(root="SYSU").train() == expected
    assert SysuMM01(root="~/SYSU").train() == expected


def test_a_root_whose_name_contains_cam_changes_nothing(sysu_root: Path) -> None:
    root = sysu_root.rename(sysu_root.parent / "cam3_0005_copy")
    assert {(s.camera, s.identity) for s in SysuMM01(root=str(root)).test()} == {
        *((camera, 3) for camera in (1, 2, 3, 4, 6)),
        *((camera, 20) for camera in (5, 6)),
    }


def test_files_that_are_not_images_are_left_out(sysu_root: Path) -> None:
    before = SysuMM01(root=str(sysu_root)).train()
    for name in ("Thumbs.db", "._0001.jpg", ".DS_Store", "notes.txt"):
        (sysu_root / "cam1" / "0005" / name).write_bytes(b"x")
    (sysu_root / "cam1" / "readme.txt").write_bytes(b"x")
    assert SysuMM01(root=str(sysu_root)).train() == before


@pytest.mark.parametrize(
    "content",
    [
        "5,12",
        "\ufeff 5 ,12 \n",
        "5\n12\n",
        "\n5,\r\n\r\n12,\r\n",
        "5 12",
        "5\t0012",
        "5; 12;\n",
        "5,\n12",
        "0005 , 00000012\n",
    ],
)
def test_identity_lists_in_any_arrangement(sysu_root: Path, content: str) -> None:
    before = SysuMM01(root=str(sysu_root)).train()
    (sysu_root / "exp" / "train_id.txt").write_bytes(content.encode())
    assert SysuMM01(root=str(sysu_root)).train() == before


def test_every_line_of_an_identity_list_counts(sysu_root: Path) -> None:
    (sysu_root / "exp" / "train_id.txt").write_text("5\n")
    (sysu_root / "exp" / "val_id.txt").write_text("7,\n12\n")
    assert SysuMM01(root=str(sysu_root)).facts().num_ids == 3
    (sysu_root / "exp" / "test_id.txt").write_text("20\n3\n")
    assert {sample.identity for sample in SysuMM01(root=str(sysu_root)).test()} == {3, 20}


def test_what_is_not_used_is_counted_with_the_reason(sysu_root: Path) -> None:
    assert len(SysuMM01(root=str(sysu_root)).listing().left_out) == 0
    names = {
        "cam1/0005/Thumbs.db": "suffix .db is not an image",
        "cam1/0005/._0001.jpg": "hidden file",
        "cam1/0005/README": "no suffix",
        "cam2/0005/more/1.jpg": "folder inside an identity folder",
        "cam3/notes.txt": "suffix .txt is not an image",
        "cam3/1.jpg": "image outside of an identity folder",
        "cam3/.git/x.jpg": "hidden folder",
        "cam6/0099/1.jpg": "folder of an identity that no list in exp names",
        "cam7/0005/1.jpg": "folder of a camera that SYSU-MM01 does not have",
    }
    before = SysuMM01(root=str(sysu_root))
    for name in names:
        (sysu_root / name).parent.mkdir(parents=True, exist_ok=True)
        (sysu_root / name).touch()
    data = SysuMM01(root=str(sysu_root))
    assert (data.train(), data.test()) == (before.train(), before.test())
    left_out = data.listing().left_out
    found = {(path.relative_to(sysu_root).as_posix(), why) for why, paths in left_out.paths.items() for path in paths}
    cut = {
        "cam2/0005/more/1.jpg": "cam2/0005/more",
        "cam3/.git/x.jpg": "cam3/.git",
        "cam6/0099/1.jpg": "cam6/0099",
        "cam7/0005/1.jpg": "cam7",
    }
    assert found == {(cut.get(name, name), why) for name, why in names.items()}


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_every_image_suffix_is_read(sysu_root: Path, suffix: str) -> None:
    file = sysu_root / "cam1" / "0005" / "0001.jpg"
    file.rename(file.with_suffix(suffix.upper()))
    samples = SysuMM01(root=str(sysu_root)).train()
    assert samples[0].path == file.with_suffix(suffix.upper())
    assert len(samples) == 18


def test_linked_folders_and_files_are_followed(sysu_root: Path, tmp_path: Path) -> None:
    before = SysuMM01(root=str(sysu_root)).train()
    for place in ("cam6", "cam1/0005", "cam2/0005/0001.jpg"):
        target = tmp_path / place.replace("/", "_")
        (sysu_root / place).rename(target)
        (sysu_root / place).symlink_to(target)
    assert SysuMM01(root=str(sysu_root)).train() == before


def test_the_root_is_found_in_another_unicode_form(sysu_root: Path) -> None:
    decomposed, composed = "Donne\u0301es", "Donn\u00e9es"
    root = sysu_root.rename(sysu_root.with_name(decomposed))
    data = SysuMM01(root=str(sysu_root.with_name(composed)))
    assert data.train()[0].path == root / "cam1" / "0005" / "0001.jpg"


@pytest.mark.parametrize("lists", [("5", "7"), ("5,12", "7"), ("12\n5", "7")])
def test_few_identities(sysu_root: Path, lists: tuple[str, str]) -> None:
    (sysu_root / "exp" / "train_id.txt").write_text(lists[0])
    (sysu_root / "exp" / "val_id.txt").write_text(lists[1])
    (sysu_root / "exp" / "test_id.txt").write_text("3")
    data = SysuMM01(root=str(sysu_root))
    assert data.facts().num_ids == 1 + len(lists[0].split()) + lists[0].count(",")
    assert {sample.identity for sample in data.test()} == {3}


def test_missing_root(tmp_path: Path) -> None:
    (tmp_path / "SYSU-MM01").mkdir()
    assert text_of(tmp_path / "SYSU-MM1") == (
        f"the data folder {tmp_path}/SYSU-MM1 does not exist; did you mean 'SYSU-MM01'?"
        "\n  DATA.ROOT is the folder that holds cam1 .. cam6 and exp."
        "\n  SYSU-MM01 itself is distributed by its authors after a signed agreement;"
        "\n  tools/make_synthetic.py --layout sysu --out DIR writes a synthetic dataset of the same form"
    )


def test_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(b"")
    assert text_of(tmp_path / "data.zip").startswith(f"the data folder {tmp_path}/data.zip is a file, not a folder\n")


def test_one_folder_too_high_or_too_low(sysu_root: Path) -> None:
    assert text_of(sysu_root.parent) == (
        f"{sysu_root.parent} holds no cam1 .. cam6, but its folder 'SYSU' does: set DATA.ROOT to {sysu_root}"
    )
    assert text_of(sysu_root / "cam2") == f"{sysu_root}/cam2 is a folder of one camera: set DATA.ROOT to {sysu_root}"


def test_another_layout(tmp_path: Path) -> None:
    for name in ("Camera1", "Camera2"):
        (tmp_path / name).mkdir()
    assert text_of(tmp_path) == (
        f"{tmp_path} does not have the layout of SYSU-MM01: no folder is named cam1 .. cam6"
        " (it holds Camera1, Camera2); did you mean 'cam1'?"
    )


def test_all_faults_are_reported_at_once(sysu_root: Path) -> None:
    exp = sysu_root / "exp"
    (exp / "val_id.txt").unlink()
    (exp / "train_id.txt").write_text("5,12,20,31\n")
    (exp / "test_id.txt").write_text("20,3,21\n")
    shutil.rmtree(sysu_root / "cam6" / "0012")  # the only infrared folder of 12
    for file in (sysu_root / "cam4" / "0003").iterdir():
        file.unlink()
    (sysu_root / "cam1" / "31").mkdir()
    for camera in (1, 2):
        shutil.rmtree(sysu_root / f"cam{camera}" / "0005")  # both visible folders of 5
    assert texts_of(sysu_root) == [
        "exp/val_id.txt is missing; it holds the identities of the split, separated by commas or line ends",
        "identities in both exp/train_id.txt and exp/test_id.txt: 0020",
        "identities without any folder: 0031, 0021; there is a folder '31', but names have four digits",
        "training identities without infrared images (cameras 3, 6): 0012;"
        " complete them or remove them from exp/train_id.txt and exp/val_id.txt",
        "training identities without visible images (cameras 1, 2, 4, 5): 0005;"
        " complete them or remove them from exp/train_id.txt and exp/val_id.txt",
        "test folders without an image, from which the gallery would be drawn: cam4/0003;"
        " remove them (a missing folder is allowed) or fill them",
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "exp/train_id.txt is empty; it holds the identities of the split, separated by commas or line ends"),
        (
            "\ufeff\n \n",
            "exp/train_id.txt is empty; it holds the identities of the split, separated by commas or line ends",
        ),
        ("5,,12\n", "exp/train_id.txt, line 1: '' is not an identity number (the line: '5,,12')"),
        ("5\n,\n", "exp/train_id.txt, line 2: '' is not an identity number (the line: ',')"),
        ("5\n12\nx1\n", "exp/train_id.txt, line 3: 'x1' is not an identity number (the line: 'x1')"),
        (
            "5\n123456789012345678901",
            "exp/train_id.txt, line 2: '123456789012345678901' has 21 digits; 18 are the most that fit into 64 bits"
            " (the line: '123456789012345678901')",
        ),
        ("5,-12\n", "exp/train_id.txt, line 1: '-12' is not an identity number (the line: '5,-12')"),
        ("5,\u00b2\n", "exp/train_id.txt, line 1: '\u00b2' is not an identity number (the line: '5,\u00b2')"),
        ("5,12,5\n", "exp/train_id.txt lists identities twice: 0005"),
        ("5,12,7\n", "identities in both exp/train_id.txt and exp/val_id.txt: 0007"),
    ],
)
def test_garbled_id_files(sysu_root: Path, content: str, fault: str) -> None:
    (sysu_root / "exp" / "train_id.txt").write_text(content, encoding="utf-8")
    assert texts_of(sysu_root) == [fault]


def test_binary_id_file(sysu_root: Path) -> None:
    (sysu_root / "exp" / "train_id.txt").write_bytes(b"\x80\x81\xff")
    assert "  - exp/train_id.txt cannot be read as text: " in text_of(sysu_root)


def test_missing_camera_folder(sysu_root: Path) -> None:
    shutil.rmtree(sysu_root / "cam4")
    assert texts_of(sysu_root) == [
        "cam4 missing; unpack the whole archive (a camera that is meant to be without images needs an empty folder)"
    ]


def test_empty_infrared_folder_of_a_test_identity_is_not_a_fault(sysu_root: Path) -> None:
    for file in (sysu_root / "cam3" / "0003").iterdir():
        file.unlink()
    assert (3, 3) not in {(s.camera, s.identity) for s in SysuMM01(root=str(sysu_root)).test()}


def test_attributes_follow_camera_and_identity(sysu_root: Path, tmp_path: Path) -> None:
    for camera in range(1, 7):
        values = np.ones((8, 12), np.uint8)
        values[:, 4] = [0, 1, 0, 0, 0, 0, 0, camera % 2]  # identity 5
        savemat(tmp_path / f"cam{camera}_att.mat", {f"cam{camera}_att": values})
    samples = SysuMM01(root=str(sysu_root), attributes=str(tmp_path)).train()
    assert {(s.identity, s.camera): s.attributes for s in samples} == {
        (0, 1): (0, 1, 0, 0, 0, 0, 0, 1),
        (0, 2): (0, 1, 0, 0, 0, 0, 0, 0),
        (0, 3): (0, 1, 0, 0, 0, 0, 0, 1),
        (0, 6): (0, 1, 0, 0, 0, 0, 0, 0),
        **{(1, camera): None for camera in (2, 3)},
        **{(2, camera): None for camera in (4, 5, 6)},
    }


def test_folders_that_cannot_be_listed(sysu_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = {str(sysu_root / "cam1" / "0005"), str(sysu_root / "cam2" / "0003")}
    scandir = os.scandir

    def refuse(folder):
        if str(folder) in closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert texts_of(sysu_root)[0] == (
        f"folders that cannot be listed: {sysu_root}/cam1/0005 (Permission denied),"
        f" {sysu_root}/cam2/0003 (Permission denied); change their permissions"
    )
