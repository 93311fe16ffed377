from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vireid.core.errors import DataError
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.datasets.llcm import LLCM


def relative(root: Path, samples: list[Sample]) -> list[str]:
    return [sample.path.relative_to(root).as_posix() for sample in samples]


def error_of(root: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        LLCM(root=str(root)).train()
    return caught.value


def text_of(root: Path) -> str:
    return str(error_of(root)).replace(str(root), "ROOT")


def test_training_follows_the_index_files(llcm_root):
    data = LLCM(root=str(llcm_root))
    samples = data.train()
    assert relative(llcm_root, samples) == [
        f"{word}/{person}/{person}_c0{camera}_s1_f{camera}_{word}.jpg"
        for word in ("vis", "nir")
        for person in ("0011", "0012")
        for camera in (1, 4)
    ]
    assert [s.identity for s in samples] == [0, 0, 1, 1] * 2
    assert [s.camera for s in samples] == [1, 4] * 4
    assert [s.modality for s in samples] == [Modality.VISIBLE] * 4 + [Modality.INFRARED] * 4
    assert data.facts() == DatasetInfo(num_ids=2, num_cameras=9)
    assert data.checkpoint_key == {"data": "LLCM"}


def test_test_images_come_by_identity_camera_and_name_whatever_the_root_is_called(llcm_root):
    samples = LLCM(root=str(llcm_root)).test()
    assert relative(llcm_root, samples) == [
        f"test_{word}/cam{camera}/{person}/{person}_{name}.jpg"
        for word in ("vis", "nir")
        for person, cameras in (("0007", (2,)), ("0301", (1, 2, 9)))
        for camera in cameras
        for name in "ab"
    ]
    assert [(s.identity, s.camera) for s in samples[:8]] == [(7, 2)] * 2 + [(301, c) for c in (1, 1, 2, 2, 9, 9)]


def test_a_training_image_without_a_camera_in_its_path_has_camera_0(llcm_root):
    (llcm_root / "vis" / "0011" / "0011_c01_s1_f1_vis.jpg").rename(llcm_root / "vis" / "0011" / "abc012.jpg")
    file = llcm_root / "idx" / "train_vis.txt"
    file.write_text(file.read_text().replace("0011_c01_s1_f1_vis.jpg", "abc012.jpg"))
    assert [s.camera for s in LLCM(root=str(llcm_root)).train()][:2] == [0, 4]


def test_files_that_are_not_images_and_unknown_cameras_are_left_out(llcm_root):
    before = LLCM(root=str(llcm_root)).test()
    for file in ("test_vis/cam1/0301/Thumbs.db", "test_nir/cam3/0301/a.jpg", "test_vis/cam1/0999/a.jpg"):
        (llcm_root / file).parent.mkdir(parents=True, exist_ok=True)
        (llcm_root / file).touch()
    assert LLCM(root=str(llcm_root)).test() == before


def test_all_faults_are_reported_at_once(llcm_root):
    shutil.rmtree(llcm_root / "test_nir" / "cam4")
    for file in (llcm_root / "test_nir" / "cam9" / "0301").iterdir():
        file.unlink()
    (llcm_root / "test_vis" / "cam1" / "21").mkdir()
    (llcm_root / "idx" / "test_id.txt").write_text("301,7,21\n")
    (llcm_root / "idx" / "train_nir.txt").write_text("nir/0011/0011_c01_s1_f1_nir.jpg 0\nnir/0012/x.jpg 2\n")
    error = error_of(llcm_root)
    assert error.text == f"{llcm_root} cannot be used as LLCM"
    assert [(each.place, each.text) for each in error.findings] == [
        ("idx/train_nir.txt, line 2", "nir/0012/x.jpg does not exist"),
        ("", "training labels without a line in idx/train_vis.txt: 2; add lines or remove the labels"),
        ("", "training labels without a line in idx/train_nir.txt: 1; add lines or remove the labels"),
        (
            "test_nir",
            "cam4 missing; unpack the whole archive"
            " (a camera that is meant to be without images needs an empty folder)",
        ),
        ("", "test identities without any folder: 0021; there is a folder '21', but names have four digits"),
        (
            "",
            "test folders without an image, from which the gallery would be drawn: test_nir/cam9/0301;"
            " remove them (a missing folder is allowed) or fill them",
        ),
    ]


def test_a_garbled_list_of_test_identities(llcm_root):
    (llcm_root / "idx" / "test_id.txt").write_text("301,7\nid_9\n")
    assert "\n  - idx/test_id.txt, line 2: 'id_9' is not an identity number (the line: 'id_9')" in text_of(llcm_root)


@pytest.mark.parametrize("content", ["301,7", "7\n301\n", "\ufeff301,\r\n7,\r\n", "301 7", "\n301;\n\n7\n"])
def test_test_identities_in_any_arrangement(llcm_root, content):
    before = LLCM(root=str(llcm_root)).test()
    (llcm_root / "idx" / "test_id.txt").write_bytes(content.encode())
    assert LLCM(root=str(llcm_root)).test() == before


def test_labels_beyond_64_bits_are_a_fault_with_the_line(llcm_root):
    file = llcm_root / "idx" / "train_nir.txt"
    file.write_text(file.read_text().replace(" 1\n", " 123456789012345678901\n"))
    text = text_of(llcm_root)
    assert "idx/train_nir.txt, line 3: the label '123456789012345678901' has 21 digits; 18 are the most" in text
    (llcm_root / "idx" / "test_id.txt").write_text("301\n9223372036854775808\n" + "7" * 5000)
    text = text_of(llcm_root)
    assert "idx/test_id.txt, line 2: '9223372036854775808' has 19 digits; 18 are the most that fit into 64 bits" in text
    assert "has 5000 digits" in text


def test_what_is_not_used_is_counted_with_the_reason(llcm_root):
    assert len(LLCM(root=str(llcm_root)).listing().left_out) == 0
    names = {
        "vis/0011/new.webp": "image that no index file names",
        "nir/0013/0013_c01.jpg": "image that no index file names",
        "vis/0011/list.txt": "suffix .txt is not an image",
        "test_vis/cam1/0301/Thumbs.db": "suffix .db is not an image",
        "test_vis/cam1/0301/.x.jpg": "hidden file",
        "test_nir/cam3/0301/a.jpg": "folder of test_nir that is not a camera of LLCM",
        "test_vis/cam1/0999/a.jpg": "folder of an identity that idx/test_id.txt does not name",
    }
    for name in names:
        (llcm_root / name).parent.mkdir(parents=True, exist_ok=True)
        (llcm_root / name).touch()
    left_out = LLCM(root=str(llcm_root)).listing().left_out
    found = {(path.relative_to(llcm_root).as_posix(), why) for why, paths in left_out.paths.items() for path in paths}
    cut = {"test_nir/cam3/0301/a.jpg": "test_nir/cam3", "test_vis/cam1/0999/a.jpg": "test_vis/cam1/0999"}
    assert found == {(cut.get(name, name), why) for name, why in names.items()}


def test_a_modality_without_test_identities(llcm_root):
    for camera in (1, 2, 9):
        shutil.rmtree(llcm_root / "test_nir" / f"cam{camera}")
        (llcm_root / "test_nir" / f"cam{camera}").mkdir()
    assert "\n  - test_nir holds no image of any test identity" in text_of(llcm_root)


def test_missing_root_and_one_folder_too_high(llcm_root):
    assert text_of(llcm_root.with_name("LCLM")).startswith(
        "the data folder ROOT does not exist; did you mean 'LLCM'?\n"
    )
    assert text_of(llcm_root.parent) == (
        "ROOT holds no idx, test_vis and test_nir, but its folder 'LLCM' does: set DATA.ROOT to ROOT/LLCM"
    )


def test_attributes_go_by_identity_and_camera(llcm_root, tmp_path):
    table = tmp_path / "people.csv"
    table.write_text("identity,camera,hat\n11,,1\n12,,0\n7,,1\n301,,0\n301,9,1\n")
    data = LLCM(root=str(llcm_root), attributes=str(table))
    assert [s.attributes for s in data.train()] == [(1,), (1,), (0,), (0,)] * 2
    assert {(s.identity, s.camera): s.attributes for s in data.test()} == {
        (7, 2): (1,), (301, 1): (0,), (301, 2): (0,), (301, 9): (1,)
    }  # fmt: skip


def test_lines_that_point_outside_are_faults_and_nothing_there_is_searched(llcm_root):
    (llcm_root.parent / "more.jpg").touch()
    file = llcm_root / "idx" / "train_vis.txt"
    file.write_text(f"../x.jpg 0\n{llcm_root.parent}/more.jpg 1\n" + file.read_text())
    listing = LLCM(root=str(llcm_root)).listing()
    assert [finding.place for finding in listing.findings] == [f"idx/train_vis.txt, line {n}" for n in (1, 2)]
    assert len(listing.left_out) == 0
