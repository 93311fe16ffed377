from __future__ import annotations

import re

import pytest

from vireid.core.errors import DataError, UserError
from vireid.core.types import Modality
from vireid.gallery.listing import Known, images_of


def test_a_list(photos):
    samples = images_of(photos / "list.csv", Known())
    assert len(samples) == 30
    first = samples[2]
    assert (first.path.name, first.identity, first.camera, first.modality, first.time) == (
        "0_3.png",
        0,
        3,
        Modality.INFRARED,
        300.0,
    )


def test_a_folder_and_a_single_image(photos):
    samples = images_of(photos, Known(modality="visible", camera=4))
    assert [sample.path.name for sample in samples] == sorted(path.name for path in photos.glob("*.png"))
    assert {(s.identity, s.camera, s.modality, s.time) for s in samples} == {(-1, 4, Modality.VISIBLE, None)}
    (single,) = images_of(photos / "3_1.png", Known(modality="ir"))
    assert single.modality == Modality.INFRARED


def test_every_bad_line_is_named(photos):
    lines = ["path,camera,modality,time", "a.png,x,rgb,1", ",1,rgb,1", "b.png,1,rgbb,1", "c.png,1,rgb,noon", "d.png,1"]
    (photos / "bad.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match="has 5 lines that cannot be used") as error:
        images_of(photos / "bad.csv", Known())
    for text in (
        "line 2: camera 'x' is not an integer",
        "line 3: the path is empty",
        "line 4: modality 'rgbb' is unknown; did you mean 'rgb'?",
        "line 5: time 'noon' is neither seconds nor a date",
        "line 6: 2 cells, but line 1 names 4 columns",
    ):
        assert text in str(error.value)


def test_numbers_as_pandas_writes_them(photos):
    lines = ["path,identity,camera,modality", "0_1.png,7.0,3.0,rgb", f"0_2.png,{2**63 - 1},0,rgb", "0_3.png,,,ir"]
    (photos / "a.csv").write_text("\n".join(lines))
    samples = images_of(photos / "a.csv", Known(camera=5))
    assert [(s.identity, s.camera) for s in samples] == [(7, 3), (2**63 - 1, 0), (-1, 5)]


@pytest.mark.parametrize("cell", ["3.5", "-1", "1e3", "nan", "inf", "c1", "\u0663", "0x1", " 1 2 "])
def test_cells_that_are_no_number(photos, cell):
    (photos / "a.csv").write_text(f"path,camera,modality\n0_1.png,{cell},rgb\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"line 2: camera '{re.escape(cell.strip())}' is not an integer"):
        images_of(photos / "a.csv", Known())


@pytest.mark.parametrize("role", ["identity", "camera"])
@pytest.mark.parametrize("cell", [str(2**63), "123456789012345678901", "9223372036854775808.0"])
def test_numbers_that_cannot_be_stored(photos, role, cell):
    (photos / "a.csv").write_text(f"path,{role},modality\n0_1.png,1,rgb\n0_2.png,{cell},rgb\n")
    with pytest.raises(DataError, match=f"line 3: {role} {cell} is larger than 9223372036854775807"):
        images_of(photos / "a.csv", Known())


def test_a_file_with_two_sets_of_values(photos):
    lines = ["path,camera,modality", "0_1.png,1,rgb", "0_2.png,1,rgb", "./0_1.png,2,rgb"]
    (photos / "a.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"line 4: \./0_1\.png is the file of line 2, which has other values"):
        images_of(photos / "a.csv", Known())


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.csv", "paths,camera\n1,2\n", "no column is named 'path'; did you mean 'paths'"),
        ("a.csv", "path\n", "lists no images"),
        ("a.csv", "path\nx.png\n", "the modality is unknown: add a column `modality`"),
        ("a.csv", "path,camera,camera,modality\nx.png,1,2,rgb\n", "2 columns are named 'camera'"),
        ("empty", None, "holds no images"),
        ("a.cvs/", None, r"a\.cvs does not exist; did you mean 'a\.csv'"),
        ("missing", None, "missing does not exist"),
    ],
)
def test_nothing_to_use(tmp_path, name, content, text):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.csv").touch()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=text):
        images_of(tmp_path / name, Known())
