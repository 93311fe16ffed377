from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from vireid.core.errors import DataError
from vireid.data.attributes import AttributeTable, read_attributes, read_sysu_attributes

BESIDE = Path(__file__).parents[4].parent / "shared" / "data" / "PAENet_Attribute.zip"
RELEASE = Path(os.environ.get("VIREID_ATTRIBUTES") or BESIDE)
released = pytest.mark.skipif(not RELEASE.exists(), reason=f"the released file {RELEASE.name} is not here")

Matrices = Callable[..., Path]


def error_of(place: Path, read: Callable[[Path], AttributeTable] = read_sysu_attributes) -> DataError:
    with pytest.raises(DataError) as caught:
        read(place)
    return caught.value


def refusal(place: Path, read: Callable[[Path], AttributeTable] = read_sysu_attributes) -> str:
    return str(error_of(place, read))


def zipped(folder: Path, file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*.mat")):
            archive.write(path, path.relative_to(folder))
    return file


def test_columns_are_identities_and_ones_are_unlabeled(tmp_path: Path, matrices: Matrices) -> None:
    table = read_sysu_attributes(matrices(tmp_path))
    assert set(table.rows) == {(camera, identity) for camera in range(1, 7) for identity in (1, 3)}
    assert table.lookup(4, 1) == (0,) * 8  # all zeros is a labeled identity
    assert table.lookup(4, 2) is None
    assert table.lookup(4, 3) == (0, 0, 0, 0, 1, 0, 0, 0)
    assert table.places[4, 3] == "cam4_att.mat, column 3"
    assert table.width == len(set(table.names)) == 8
    assert table.by_camera


@pytest.mark.parametrize("inside", ["", "sysu_attribute", "PAENet_Attribute/sysu_attribute"])
def test_folder_and_zip_are_the_same_however_deep(tmp_path: Path, matrices: Matrices, inside: str) -> None:
    expected = read_sysu_attributes(matrices(tmp_path / "plain"))
    matrices(tmp_path / "release" / inside)
    assert read_sysu_attributes(tmp_path / "release").rows == expected.rows
    assert read_sysu_attributes(zipped(tmp_path / "release", tmp_path / "release.zip")).rows == expected.rows


def test_hidden_copies_of_a_mac_do_not_count_and_equal_ones_do_not_matter(tmp_path: Path, matrices: Matrices) -> None:
    expected = read_sysu_attributes(matrices(tmp_path / "a"))
    matrices(tmp_path / "b")
    (tmp_path / "b" / "._cam1_att.mat").write_bytes(b"x")
    assert read_sysu_attributes(tmp_path).rows == expected.rows


def test_different_copies_are_refused(tmp_path: Path, matrices: Matrices) -> None:
    matrices(tmp_path / "a")
    matrices(tmp_path / "b", cam3_att=np.zeros((8, 2), np.uint8))
    (finding,) = error_of(tmp_path).findings
    assert finding.place == "cam3_att.mat"
    assert finding.text.startswith(
        "exists with different contents: a/cam3_att.mat, b/cam3_att.mat; set DATA.ATTRIBUTES"
    )


def test_all_faults_at_once(tmp_path: Path, matrices: Matrices) -> None:
    wrong = np.zeros((8, 2), np.uint8)
    wrong[2, 1] = 2
    place = matrices(tmp_path, cam1_att=np.zeros((3, 8), np.uint8), cam2_att=wrong, cam3_att=np.zeros((8, 2)))
    (place / "cam4_att.mat").write_bytes(b"not a matrix" * 50)
    (place / "cam5_att.mat").unlink()
    savemat(place / "cam6_att.mat", {"cam5_att": np.zeros((8, 2))})
    error = error_of(place)
    assert error.text == f"{place} cannot be used as attributes (DATA.ATTRIBUTES)"
    texts = {finding.place: finding.text for finding in error.findings}
    assert texts.pop("cam4_att.mat").startswith("is not a MATLAB file that can be read (")
    assert texts == {
        "cam1_att.mat": "cam1_att has shape (3, 8), expected (8, identities); it looks transposed",
        "cam2_att.mat": "1 value other than 0 and 1, first 2 in row 3, column 2 (attribute glasses, identity 2)",
        "cam5_att.mat": "does not exist there or in the folders inside; unpack the whole release",
        "cam6_att.mat": "has no variable 'cam6_att' (variables: cam5_att)",
    }


def test_nothing_labeled(tmp_path: Path, matrices: Matrices) -> None:
    ones = {f"cam{camera}_att": np.ones((8, 4), np.uint8) for camera in range(1, 7)}
    assert refusal(matrices(tmp_path, **ones)).endswith("  - no column is labeled: all of them hold only ones")


def test_a_path_of_another_kind(tmp_path: Path, matrices: Matrices) -> None:
    assert refusal(tmp_path / "absent") == (
        f"the attributes {tmp_path}/absent do not exist; DATA.ATTRIBUTES is a folder or zip that holds"
        " cam1_att.mat .. cam6_att.mat, a .csv or .xlsx file, or none"
    )
    (tmp_path / "file.zip").write_bytes(b"xx")
    assert refusal(tmp_path / "file.zip") == (
        f"the attributes {tmp_path}/file.zip cannot be read (DATA.ATTRIBUTES): File is not a zip file;"
        " expected a folder, a zip, a .csv or .xlsx file"
    )
    matrices(tmp_path)
    assert refusal(tmp_path / "cam1_att.mat") == (
        f"{tmp_path}/cam1_att.mat is the file of one camera; DATA.ATTRIBUTES is the folder that holds all six:"
        f" {tmp_path}"
    )


def test_a_zip_with_a_damaged_member_names_it(tmp_path: Path, matrices: Matrices) -> None:
    file = zipped(matrices(tmp_path / "a"), tmp_path / "a.zip")
    content = bytearray(file.read_bytes())
    content[content.index(b"cam3_att.mat") + 80] ^= 1
    file.write_bytes(content)
    text = refusal(file)
    assert text.startswith(f"{file} cannot be used as attributes (DATA.ATTRIBUTES) (1 fault):\n  - cam3_att.mat: damag")
    assert text.endswith("(Bad CRC-32 for file 'cam3_att.mat'); fetch it again")


def test_a_truncated_zip_is_not_a_zip(tmp_path: Path, matrices: Matrices) -> None:
    file = zipped(matrices(tmp_path / "a"), tmp_path / "a.zip")
    file.write_bytes(file.read_bytes()[:-100])
    assert "cannot be read (DATA.ATTRIBUTES): File is not a zip file" in refusal(file)


def test_files_of_sysu_are_refused_for_other_datasets(tmp_path: Path, matrices: Matrices) -> None:
    for place in (matrices(tmp_path / "a"), zipped(tmp_path / "a", tmp_path / "a.zip"), tmp_path / "a/cam1_att.mat"):
        text = refusal(place, read_attributes)
        assert text.startswith(
            f"{place} cannot be used as attributes (DATA.ATTRIBUTES): expected a .csv or .xlsx file;"
        )
        assert "the PAENet release holds no attributes of RegDB" in text


@pytest.fixture(scope="module")
def release() -> AttributeTable:
    return read_sysu_attributes(RELEASE)


@pytest.mark.data
@released
class TestRelease:
    """The real file, against counts that were made by hand from it."""

    def test_counts(self, release: AttributeTable) -> None:
        by_camera = [sum(1 for camera, _ in release.rows if camera == each) for each in range(1, 7)]
        assert by_camera == [259, 259, 484, 492, 501, 299]
        assert len(release.rows) == 2294
        identities = release.identities()
        assert len(identities) == 512
        unlabelled = sorted(set(range(1, 534)) - identities)
        assert unlabelled == [
            *(3, 66, 68, 100, 101, 103, 141, 144, 145, 148, 153, 173, 187, 191, 195, 233, 236, 238, 239, 241, 438)
        ]
        visible, infrared = (
            {identity for camera, identity in release.rows if camera in cameras} for cameras in ((1, 2, 4, 5), (3, 6))
        )
        assert len(visible & infrared) == 490

    def test_positive_shares(self, release: AttributeTable) -> None:
        values, known = release.arrays()
        assert known.all()
        assert values.mean(axis=0).round(3).tolist() == pytest.approx(
            [0.441, 0.385, 0.641, 0.349, 0.092, 0.668, 0.446, 0.083], abs=1e-6
        )

    def test_people_who_have_none_of_the_eight(self, release: AttributeTable) -> None:
        nothing = [identity for (_, identity), row in release.rows.items() if not any(row)]
        assert len(nothing) == 46
        assert sorted(set(nothing)) == [16, 48, 91, 92, 120, 134, 135, 152, 168, 177, 212, 222, 250, 278, 362]

    def test_what_differs_between_cameras(self, release: AttributeTable) -> None:
        rows: dict[int, list[tuple[int, ...]]] = {}
        for (_, identity), row in release.rows.items():
            rows.setdefault(identity, []).append(row)
        several = [np.array(each) for each in rows.values() if len(each) > 1]
        differs = np.array([each.min(axis=0) != each.max(axis=0) for each in several])
        assert len(several) == 510
        assert (~differs.any(axis=1)).sum() == 310
        assert differs.sum(axis=0).tolist() == [0, 0, 0, 6, 1, 0, 173, 25]

    def test_the_sheet_that_is_called_regdb(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(RELEASE) as archive:
            archive.extract("regdb_attribute/label_finished.xlsx", tmp_path)
        sheet = shutil.copy(tmp_path / "regdb_attribute" / "label_finished.xlsx", tmp_path / "regdb.xlsx")
        for read in (read_attributes, read_sysu_attributes):
            text = refusal(Path(sheet), read)
            assert text.startswith(
                f"{sheet} cannot be used as attributes (DATA.ATTRIBUTES): the PAENet release holds no attributes of"
                " RegDB. Its label_finished.xlsx has 96 identities (6 .. 333), which are the test identities of"
                " SYSU-MM01 and not the 412 persons of RegDB, and its 26 columns are not the eight attributes of"
                " the paper;"
            )
        assert "holds no attributes of RegDB" in refusal(RELEASE, read_attributes)

    def test_shares_of_the_test_identities(self, release: AttributeTable, tmp_path: Path) -> None:
        import openpyxl

        with zipfile.ZipFile(RELEASE) as archive:
            sheet = archive.extract("regdb_attribute/label_finished.xlsx", tmp_path)
        lines = openpyxl.load_workbook(sheet).worksheets[0].iter_rows(min_row=2, max_col=1, values_only=True)
        tested = {int(cell) for (cell,) in lines}
        assert len(tested) == 96
        rows = np.array([row for (_, identity), row in release.rows.items() if identity in tested])
        assert len(rows) == 490
        assert rows.mean(axis=0).round(3).tolist() == pytest.approx(
            [0.427, 0.355, 0.608, 0.202, 0.065, 0.606, 0.437, 0.055], abs=1e-6
        )
        pairs = [(camera, identity) for camera, identity in release.rows if identity in tested]
        assert sum(camera in (1, 2, 4, 5) for camera, _ in pairs) == 301  # the gallery of all-search
        assert sum(camera in (1, 2) for camera, _ in pairs) == 112  # and of indoor-search
