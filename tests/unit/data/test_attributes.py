from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from vireid.core.errors import DataError
from vireid.data.attributes import read_sysu_attributes


def write(folder: Path, **changes: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for camera in range(1, 7):
        name = f"cam{camera}_att"
        values = np.zeros((8, 3), np.uint8)
        values[:, 1] = 1
        values[camera, 2] = 1
        savemat(folder / f"{name}.mat", {name: changes.get(name, values)})
    return folder


def test_columns_are_identities_and_ones_are_unlabelled(tmp_path: Path) -> None:
    table = read_sysu_attributes(write(tmp_path))
    assert set(table) == {(camera, identity) for camera in range(1, 7) for identity in (1, 3)}
    assert table[4, 1] == (0,) * 8  # all zeros is a person, not a gap
    assert table[4, 3] == (0, 0, 0, 0, 1, 0, 0, 0)


def test_folder_zip_and_sub_folder_are_the_same(tmp_path: Path) -> None:
    expected = read_sysu_attributes(write(tmp_path / "release" / "sysu_attribute"))
    with zipfile.ZipFile(tmp_path / "release.zip", "w") as archive:
        for file in (tmp_path / "release" / "sysu_attribute").iterdir():
            archive.write(file, f"sysu_attribute/{file.name}")
    assert read_sysu_attributes(tmp_path / "release") == expected
    assert read_sysu_attributes(tmp_path / "release.zip") == expected


def test_all_faults_at_once(tmp_path: Path) -> None:
    place = write(
        tmp_path, cam1_att=np.zeros((3, 8), np.uint8), cam2_att=np.full((8, 2), 2, np.uint8), cam3_att=np.zeros((8, 2))
    )
    (place / "cam4_att.mat").write_bytes(b"not a matrix" * 50)
    (place / "cam5_att.mat").unlink()
    savemat(place / "cam6_att.mat", {"cam5_att": np.zeros((8, 2))})
    with pytest.raises(DataError) as caught:
        read_sysu_attributes(place)
    lines = str(caught.value).split("\n  - ")
    assert lines.pop(3).startswith("cam4_att.mat: is not a MATLAB file that can be read: ")
    assert lines == [
        f"{place} cannot be used as attributes (DATA.ATTRIBUTES):",
        "cam1_att.mat: cam1_att has shape (3, 8), expected (8, identities)",
        "cam2_att.mat: cam2_att holds values other than 0 and 1",
        "cam5_att.mat: not found (looked directly there and in sysu_attribute)",
        "cam6_att.mat: has no variable 'cam6_att' (found: cam5_att)",
    ]


def test_a_place_that_does_not_exist_or_is_no_zip(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_sysu_attributes(tmp_path / "absent")
    assert str(caught.value) == (
        f"the attributes {tmp_path}/absent do not exist; DATA.ATTRIBUTES is a folder or zip that holds"
        " cam1_att.mat .. cam6_att.mat, or none"
    )
    (tmp_path / "file.zip").write_bytes(b"xx")
    with pytest.raises(DataError) as caught:
        read_sysu_attributes(tmp_path / "file.zip")
    assert str(caught.value) == (
        f"the attributes {tmp_path}/file.zip cannot be read (DATA.ATTRIBUTES): File is not a zip file"
    )
