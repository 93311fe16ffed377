from __future__ import annotations

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
        "line 2: camera 'x' is not a whole number",
        "line 3: it has no path",
        "line 4: modality 'rgbb' is unknown; did you mean 'rgb'?",
        "line 5: time 'noon' is neither seconds nor a date",
        "line 6: 2 cells, but line 1 names 4 columns",
    ):
        assert text in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.csv", "paths,camera\n1,2\n", "no column is named 'path'; did you mean 'paths'"),
        ("a.csv", "path\n", "lists no images"),
        ("a.csv", "path\nx.png\n", "the modality is not known: name it in the column `modality`"),
        ("empty", None, "holds no images"),
        ("missing", None, "missing does not exist"),
    ],
)
def test_nothing_to_use(tmp_path, name, content, text):
    (tmp_path / "empty").mkdir()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=text):
        images_of(tmp_path / name, Known())
