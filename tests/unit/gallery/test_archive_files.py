"""Archive: Parquet files, and conversion of galleries of the earlier format."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.gallery import (
    GalleryArchive,
    GalleryStore,
    Selection,
    application,
    convert_gallery,
    export_parquet,
    import_parquet,
)
from vireid.gallery.listing import Known, images_of
from vireid.gallery.store import FILE_COLUMNS, Header, Shard

pytest.importorskip("lance")

WIDTH = 8
FINGERPRINT = "f" * 64


@pytest.fixture
def some(tmp_path, rows_of, created):
    gallery = created(tmp_path / "a")
    boxes = [[0, 0, 2, 2], [np.nan] * 4, [1, 1, 2, 2]]
    gallery.append(rows_of(["a", "b", "c"], camera=[1, 2, 2], box=boxes, time=[1.5, np.nan, 3]))
    return gallery


def test_parquet_round_trip(tmp_path, some, created):
    assert export_parquet(some, tmp_path / "a.parquet") == 3
    other = created(tmp_path / "b")
    assert import_parquet(other, tmp_path / "a.parquet").added == 3
    np.testing.assert_allclose(other.embeddings(), some.embeddings(), rtol=1e-6)
    expected = some.columns()
    for name, values in other.columns().items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    assert import_parquet(other, tmp_path / "a.parquet").replaced == 3
    assert other.count() == 3


def test_a_part_is_exported(tmp_path, some, created):
    assert export_parquet(some, tmp_path / "a.parquet", Selection(cameras=(2,))) == 2
    other = created(tmp_path / "b")
    import_parquet(other, tmp_path / "a.parquet")
    assert other.columns(("path",))["path"].tolist() == ["b", "c"]


def test_files_that_are_refused(tmp_path, some, created):
    import pyarrow.parquet as parquet

    file = tmp_path / "a.parquet"
    with pytest.raises(UserError, match="does not exist"):
        import_parquet(some, file)
    file.write_bytes(b"no parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        import_parquet(some, file)
    export_parquet(some, file)
    table = parquet.read_table(file)
    parquet.write_table(table.replace_schema_metadata({}), file)
    with pytest.raises(UserError, match="is not of an archive"):
        import_parquet(some, file)
    parquet.write_table(table.take([0, 0]), file)
    with pytest.raises(DataError, match=r"a.parquet: rows 0 and 1 have the same source"):
        import_parquet(some, file)
    place = table.schema.get_field_index("camera")
    wrong = table.set_column(place, table.schema.field("camera"), [[1, 2, -9]])
    parquet.write_table(wrong, file)
    other = created(tmp_path / "b")
    with pytest.raises(DataError, match=r"a.parquet: columns: 'camera', row 2: -9 is negative"):
        import_parquet(other, file)
    assert other.count() == 0
    third = GalleryArchive.create(tmp_path / "c", fingerprint="other", width=WIDTH)
    parquet.write_table(table, file)
    with pytest.raises(UserError, match="another model"):
        import_parquet(third, file)


def test_conversion_keeps_images_columns_and_embeddings(tmp_path, model, photos):
    samples = images_of(photos / "list.csv", Known())
    application.build(tmp_path / "g", model, samples, {"NAME": "TorchExact"}, skip=False)
    done = convert_gallery(tmp_path / "g", tmp_path / "a")
    assert (done.images, done.superseded) == (30, 0)
    store = GalleryStore(tmp_path / "g")
    (shard,) = store.shards()
    columns = done.archive.columns()
    np.testing.assert_allclose(done.archive.embeddings(), shard.embeddings, rtol=1e-6)
    for name in ("path", "identity", "camera", "modality", "time", "size", "mtime_ns", "ctime_ns"):
        np.testing.assert_array_equal(columns[name], shard.columns[name], err_msg=name)
    assert columns["digest"].tolist() == [value.decode() for value in shard.columns["digest"]]
    done.archive.require(model.fingerprint(), 16)
    assert len(done.archive.versions()) == 1
    with pytest.raises(UserError, match="exists already"):
        convert_gallery(tmp_path / "g", tmp_path / "a")


def test_conversion_keeps_the_last_embedding_of_a_file(tmp_path, rows_of):
    with pytest.raises(UserError, match="is not a gallery"):
        convert_gallery(tmp_path, tmp_path / "a")
    store = GalleryStore.create(tmp_path / "g", Header(FINGERPRINT, "toy", {"NAME": "TorchExact"}))
    with pytest.raises(UserError, match="the gallery is empty"):
        convert_gallery(tmp_path / "g", tmp_path / "a")
    for seed, names in enumerate((["x", "y"], ["x"])):
        one = len(names)
        columns = {"path": np.array([f"/{name}" for name in names]), "identity": np.zeros(one), "camera": np.ones(one)}
        columns |= {"modality": np.zeros(one), "time": np.full(one, np.nan)}
        columns |= {name: np.ones(one, kind) for name, kind in FILE_COLUMNS.items()}
        store.append(Shard(rows_of(names, seed).embeddings, columns))
    done = convert_gallery(tmp_path / "g", tmp_path / "a")
    assert (done.images, done.superseded) == (2, 1)
    later = list(store.shards())[1].embeddings
    np.testing.assert_allclose(done.archive.embeddings(Selection(paths=("/x",))), later, rtol=1e-6)


def test_an_interrupted_conversion_leaves_nothing(tmp_path, model, photos, monkeypatch):
    application.build(
        tmp_path / "g", model, images_of(photos / "list.csv", Known()), {"NAME": "TorchExact"}, skip=False
    )

    def interrupted(self, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(GalleryArchive, "compact", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert_gallery(tmp_path / "g", tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g", "photos"]


def test_a_damaged_shard_is_named(tmp_path, model, photos):
    application.build(
        tmp_path / "g", model, images_of(photos / "list.csv", Known()), {"NAME": "TorchExact"}, skip=False
    )
    (shard,) = (tmp_path / "g" / "portions").iterdir()
    content = bytearray(shard.read_bytes())
    content[200] ^= 255  # in the embeddings, which have a checksum
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"000000.npz is damaged"):
        convert_gallery(tmp_path / "g", tmp_path / "a")
    assert not (tmp_path / "a").exists()
