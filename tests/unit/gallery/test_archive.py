"""Archive: rows in and out, filters, versions, compaction and errors."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from vireid.core.errors import ArgumentError, DataError, UserError
from vireid.core.types import Modality
from vireid.gallery import GalleryArchive, Selection, archive
from vireid.gallery.lance_files import KEY, arrow_schema
from vireid.gallery.selection import literal

lance = pytest.importorskip("lance")

WIDTH = 8
FINGERPRINT = "f" * 64
NASTY = ["it's.png", "a' OR '1'='1", 'say "x".png', "back\\slash", "new\nline", "%_;--/*", "Zoë 人.png", "{x}$1?"]


@pytest.fixture
def some(tmp_path, rows_of, created):
    """Six rows: cameras 1, 1, 2, 2, 3, unknown; times 0, 10, .., 40, unknown."""
    gallery = created(tmp_path / "a")
    columns = {"camera": [1, 1, 2, 2, 3, -1], "time": [0, 10, 20, 30, 40, np.nan], "identity": [0, 1, 0, 1, 2, 7]}
    gallery.append(rows_of([f"{row}.png" for row in range(6)], track=[5, 5, 6, 6, -1, -1], **columns))
    return gallery


def found(gallery, only=None):
    return [int(path.split(".")[0]) for path in gallery.columns(("path",), only)["path"]]


def test_rows_are_read_as_they_were_stored(tmp_path, rows_of, created):
    rows = rows_of(["a.mp4", "a.mp4"], frame=[3, 4], track=[1, 1], box=[[0, 1, 2, 3.5], [np.nan] * 4], digest=["d", ""])
    gallery = created(tmp_path / "a")
    gallery.append(rows)
    again = GalleryArchive(tmp_path / "a")
    expected = rows.embeddings / np.linalg.norm(rows.embeddings, axis=1, keepdims=True)
    np.testing.assert_allclose(again.embeddings(), expected, rtol=1e-6)
    columns = again.columns()
    assert columns["frame"].tolist() == [3, 4]
    assert columns["digest"].tolist() == ["d", ""]
    np.testing.assert_array_equal(columns["box"], np.array([[0, 1, 2, 3.5], [np.nan] * 4], np.float32))
    assert columns["identity"].tolist() == [-1, -1]
    assert np.isnan(columns["time"]).all()
    assert abs(columns["added_at"] - os.stat(tmp_path / "a" / archive.DATASET).st_mtime).max() < 60
    (batch, last) = again.batches(size=1)
    assert len(batch) == 1
    assert last.columns["frame"].tolist() == [4]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (Selection(cameras=(1, 3)), [0, 1, 4]),
        (Selection(modality=Modality.INFRARED), [1, 3, 5]),
        (Selection(after=20), [2, 3, 4]),
        (Selection(before=10.0), [0, 1]),
        (Selection(identities=(0,), after=5), [2]),
        (Selection(tracks=(5, 6), cameras=(2,)), [2, 3]),
        (Selection(paths=("4.png", "nothing")), [4]),
        (Selection(), [0, 1, 2, 3, 4, 5]),
        (None, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_selections(some, only, expected):
    assert found(some, only) == expected
    assert some.count(only) == len(expected)
    np.testing.assert_array_equal(some.embeddings(only), some.embeddings()[expected])


def test_any_text_selects_its_own_row_only(tmp_path, rows_of, created):
    gallery = created(tmp_path / "a")
    gallery.append(rows_of(NASTY))
    for path in NASTY:
        assert gallery.columns(("path",), Selection(paths=(path,)))["path"].tolist() == [path]
    assert gallery.delete(Selection(paths=(NASTY[1],))) == 1
    assert gallery.count() == len(NASTY) - 1
    assert literal("'; DROP") == "'''; DROP'"


@pytest.mark.parametrize(
    "arguments",
    [
        {"cameras": ("1 OR 1=1",)},
        {"cameras": "12"},
        {"tracks": (True,)},
        {"identities": (2**63,)},
        {"modality": 2},
        {"after": np.nan},
        {"before": "now"},
        {"after": 2, "before": 1},
        {"paths": (3,)},
    ],
)
def test_a_selection_takes_only_values_of_its_types(arguments):
    with pytest.raises(ArgumentError, match=next(iter(arguments))):
        Selection(**arguments)


def test_reading_columns_reads_no_embeddings(some, monkeypatch, rows_of):
    asked = []
    scanner = lance.LanceDataset.scanner
    monkeypatch.setattr(
        lance.LanceDataset,
        "scanner",
        lambda self, columns=None, **more: asked.append(columns) or scanner(self, columns, **more),
    )
    some.columns(), some.info(), some.append(rows_of(["new"]))
    assert asked
    assert all(columns is not None and "embedding" not in columns for columns in asked)


def test_upsert_replaces_rows_of_the_same_source(some, rows_of):
    first = some.columns(("source",))["source"]
    done = some.upsert(rows_of(["1.png", "x.png"], seed=1, track=[5, -1], camera=[9, 9]))
    assert (done.added, done.replaced) == (1, 1)
    assert some.count() == 7
    assert some.count(Selection(cameras=(9,))) == 2
    assert set(first) < set(some.columns(("source",))["source"])


def test_a_row_without_track_is_distinguished_by_its_box(tmp_path, rows_of, created):
    gallery = created(tmp_path / "a")
    gallery.append(rows_of(["a", "a"], box=[[0, 0, 1, 1], [5, 5, 9, 9]]))
    assert gallery.upsert(rows_of(["a"], box=[[5, 5, 9, 9]])).replaced == 1
    done = gallery.upsert(rows_of(["v", "v"], frame=[1, 1], track=[1, 2], box=[[0, 0, 1, 1]] * 2))
    assert done.added == 2
    assert gallery.upsert(rows_of(["v"], frame=[1], track=[2], box=[[0, 0, 3, 3]])).replaced == 1


def test_append_refuses_what_is_stored_already(some, rows_of):
    with pytest.raises(DataError, match=r"1 of 2 rows are in the archive already \(1.png, track 5\).*upsert"):
        some.append(rows_of(["new.png", "1.png"], track=[-1, 5]))
    with pytest.raises(DataError, match="rows 0 and 1 have the same source"):
        some.append(rows_of(["n", "n"]))
    assert some.count() == 6


def test_versions_and_as_of(some, rows_of):
    moment = some.versions()[-1].time
    number = some.version
    some.delete(Selection(cameras=(1,)))
    some.compact()
    assert found(some) == [2, 3, 4, 5]
    versions = some.versions()
    assert [each.rows for each in versions] == [0, 6, 4, 4, 4]  # compaction makes two
    for earlier in (GalleryArchive(some.folder, version=number), GalleryArchive(some.folder, as_of=moment)):
        assert earlier.count() == 6
        assert earlier.refresh() == number
        with pytest.raises(UserError, match="read-only"):
            earlier.append(rows_of(["new"]))
    with pytest.raises(UserError, match="version 99 does not exist; it has 5 versions from 1 to 5"):
        GalleryArchive(some.folder, version=99)
    with pytest.raises(UserError, match="no version is kept from 100 or before"):
        GalleryArchive(some.folder, as_of=100)


def test_compact_removes_deleted_rows_from_the_disk(some):
    secret = some.embeddings()[2].tobytes()

    def on_disk() -> bool:
        return any(secret in file.read_bytes() for file in some.folder.rglob("*") if file.is_file())

    reader = GalleryArchive(some.folder)
    assert on_disk()
    assert some.delete(Selection(paths=("2.png",))) == 1
    assert some.delete(Selection(paths=("2.png",))) == 0
    assert on_disk()
    assert some.compact(keep_days=1) == 0
    assert len(some.versions()) > 1
    assert some.compact(keep_days=0) > 0
    assert not on_disk()
    assert len(some.versions()) == 1
    assert found(some) == [0, 1, 3, 4, 5]
    with pytest.raises(DataError, match="if another process compacted the archive, open it again"):
        reader.embeddings()
    reader.refresh()
    assert len(reader.embeddings()) == 5


def test_compact_merges_files(tmp_path, rows_of, created):
    gallery = created(tmp_path / "a")
    for row in range(4):
        gallery.append(rows_of([f"{row}.png"], seed=row))
    before = gallery.embeddings()
    gallery.compact(keep_days=0)
    assert len(list((gallery.folder / archive.DATASET / "data").iterdir())) == 1
    np.testing.assert_array_equal(gallery.embeddings(), before)


def test_info(some, created):
    info = some.info()
    assert (info.rows, info.identities, info.versions, info.version) == (6, 4, 2, 2)
    assert info.cameras == {-1: 1, 1: 2, 2: 2, 3: 1}
    assert info.modalities == {0: 3, 1: 3}
    assert info.times == (0.0, 40.0)
    assert info.header.model == "toy"
    assert info.header.width == WIDTH
    assert created(some.folder.with_name("empty")).info().times is None


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"camra": [1]}, "'camra' is unknown; did you mean 'camera'"),
        ({"camera": [1, 2]}, "'camera' has 2 entries, but there are 1 embeddings"),
        ({"camera": [-2]}, "'camera', row 0: -2 is negative"),
        ({"camera": [1.5]}, "'camera' must be integers"),
        ({"modality": [3]}, "row 0: 3 is neither 0"),
        ({"time": [np.inf]}, "is infinite"),
        ({"box": [[2, 0, 1, 1]]}, "has no area"),
        ({"box": [[1, 2]]}, r"must be \(N, 4\)"),
        ({"path": [""]}, "is empty"),
        ({"path": ["\udcff"]}, "not valid Unicode"),
    ],
)
def test_invalid_columns_are_refused(tmp_path, columns, text, rows_of, created):
    gallery = created(tmp_path / "a")
    rows = rows_of(["a"])
    with pytest.raises(UserError, match=text):
        gallery.append(type(rows)(rows.embeddings, {**rows.columns, **columns}))
    assert gallery.count() == 0


def test_embeddings_are_checked(some, rows_of):
    rows = rows_of(["a"])
    with pytest.raises(UserError, match=f"width is 3, but {WIDTH} is needed"):
        some.append(type(rows)(np.ones((1, 3)), rows.columns))
    with pytest.raises(DataError, match="row 0 is zero"):
        some.upsert(type(rows)(np.zeros((1, WIDTH)), rows.columns))
    with pytest.raises(UserError, match="columns: 'modality' is missing"):
        some.append(type(rows)(rows.embeddings, {"path": ["a"]}))
    with pytest.raises(UserError, match=r"'embedding' is unknown.*method embeddings"):
        some.columns(("embedding",))


def test_another_model_is_refused(some):
    with pytest.raises(UserError, match=r"made by another model \(toy, fingerprint ffffffffffff, this one is other\)"):
        GalleryArchive.create(some.folder, fingerprint="other", width=WIDTH)
    with pytest.raises(UserError, match="have the width 8, those of this model 9"):
        GalleryArchive.create(some.folder, fingerprint=FINGERPRINT, width=9)


def test_what_is_not_an_archive(tmp_path, some, created):
    with pytest.raises(UserError, match=r"is not an archive.*convert_gallery"):
        GalleryArchive(tmp_path)
    (tmp_path / "killed" / archive.DATASET / "_versions").mkdir(parents=True)
    with pytest.raises(UserError, match="is not an archive"):
        GalleryArchive(tmp_path / "killed")
    assert created(tmp_path / "killed").count() == 0
    for name, metadata, text in (
        ("newer", {KEY: b'{"schema": 9}'}, "has the schema 9, this version reads 1: update vireid"),
        ("foreign", {}, "is not of an archive of vireid"),
        ("damaged", {KEY: b'{"schema": 1}'}, "the header is damaged"),
    ):
        schema = arrow_schema(some.header).with_metadata(metadata)
        lance.write_dataset(schema.empty_table(), str(tmp_path / name / archive.DATASET))
        with pytest.raises(UserError, match=text):
            GalleryArchive(tmp_path / name)


def test_a_version_that_is_removed_while_it_is_opened(some, monkeypatch):
    opened, calls = lance.dataset, []

    def removed(*arguments, **named):
        calls.append(1)
        if len(calls) <= failures:
            raise ValueError("Not found: _versions/3.manifest")
        return opened(*arguments, **named)

    monkeypatch.setattr(lance, "dataset", removed)
    failures = 2
    assert GalleryArchive(some.folder).count() == 6
    assert len(calls) == 3
    failures = 99
    with pytest.raises(DataError, match="cannot be read"):
        some.refresh()


def test_a_damaged_file_is_reported(some):
    (file,) = (some.folder / archive.DATASET / "data").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match=r"cannot be read .* restore the folder from a backup"):
        GalleryArchive(some.folder).columns(("path",))


def test_a_folder_that_cannot_be_written(some, monkeypatch, rows_of):
    real = os.open

    def refused(path, flags, *more, **named):
        if str(path).endswith(archive.LOCK):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(UserError, match="cannot be written: no permission"):
        some.append(rows_of(["new"]))
    assert GalleryArchive(some.folder).count() == 6


def test_a_failed_write_leaves_the_previous_version(some, monkeypatch, rows_of):
    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lance, "write_dataset", full)
    with pytest.raises(UserError, match=r"cannot be written .*No space left.* unchanged"):
        some.append(rows_of(["new"]))
    assert some.count() == 6


def test_delete_needs_a_condition(some):
    with pytest.raises(UserError, match="delete needs a condition"):
        some.delete(Selection())
    assert some.count() == 6


def test_without_the_extra(some, monkeypatch):
    monkeypatch.setitem(sys.modules, "lance", None)
    with pytest.raises(UserError, match=r'pip install "vireid\[gallery\]"'):
        GalleryArchive(some.folder)
