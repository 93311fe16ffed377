"""The record of a listing: its digest, its file, and what changed between two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vireid.core.types import Modality, Sample
from vireid.runs.listing_record import ListingRecord, changes, record_listing, summary_changes


@pytest.fixture
def samples(tmp_path):
    for name in "abcd":
        (tmp_path / f"{name},ä\n.png").write_bytes(b"12")
    return [
        Sample(tmp_path / f"{name},ä\n.png", i // 2, Modality(i % 2), 1 + i % 2, (0, 1, -1), 1.5 * i)
        for i, name in enumerate("abcd")
    ]


def test_a_file_keeps_everything(samples, tmp_path):
    record = record_listing(samples, [tmp_path])
    record.write(tmp_path / "listing.csv.gz")
    assert ListingRecord.read(tmp_path / "listing.csv.gz") == record
    first = record.images[0]
    assert tuple(first) == ("a,ä\n.png", "0", "visible", "1", "0.0", "01?", "2")
    assert record.summary == {
        "digest": record.digest,
        "images": 4,
        "identities": 2,
        "cameras": 2,
        "attributes": 3,
    }


@pytest.mark.parametrize("content", [None, b"", b"torn", b"\x1f\x8b\x08\x00torn"])
def test_a_missing_or_damaged_file_is_no_record(tmp_path, content):
    if content is not None:
        (tmp_path / "listing.csv.gz").write_bytes(content)
    assert ListingRecord.read(tmp_path / "listing.csv.gz") is None


def test_a_moved_dataset_has_the_same_digest(samples, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    for sample in samples:
        (moved / sample.path.name).write_bytes(b"12")
    other = [replace(sample, path=moved / sample.path.name) for sample in samples]
    assert record_listing(samples, [tmp_path]).digest == record_listing(other, [moved]).digest
    assert record_listing(samples).digest != record_listing(other).digest


CHANGES = {
    "identity": ({"identity": 7}, "1 label changed (first: {name} was 0, is 7)"),
    "modality": ({"modality": Modality.INFRARED}, "1 modality changed (first: {name} was visible, is infrared)"),
    "camera": ({"camera": 6}, "1 camera changed (first: {name} was 1, is 6)"),
    "time": ({"time": None}, "1 time changed (first: {name} was 0.0, is nothing)"),
    "attributes": ({"attributes": (1, 1, -1)}, "1 image's attributes changed (first: {name} was 01?, is 11?)"),
}


@pytest.mark.parametrize(("change", "text"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_any_column_changes_the_digest_and_is_named(samples, tmp_path, change, text):
    old = record_listing(samples, [tmp_path])
    new = record_listing([replace(samples[0], **change), *samples[1:]], [tmp_path])
    assert old.digest != new.digest
    assert changes(old, new) == [text.format(name=samples[0].path.name)]


def test_added_removed_replaced_and_reordered_images(samples, tmp_path):
    old = record_listing(samples, [tmp_path])
    assert changes(old, old) == []
    assert changes(old, record_listing(samples[1:], [tmp_path])) == ["1 image removed (first: a,ä\n.png)"]
    assert changes(record_listing(samples[1:], [tmp_path]), old) == ["1 image added (first: a,ä\n.png)"]
    assert changes(old, record_listing(samples[::-1], [tmp_path])) == [
        "the order of the images changed (first: d,ä\n.png)"
    ]
    samples[2].path.write_bytes(b"123")
    assert changes(old, record_listing(samples, [tmp_path])) == ["1 file size changed (first: c,ä\n.png was 2, is 3)"]


def test_rows_of_arrays_and_missing_files(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"12345")
    rows = [Sample(tmp_path / "x.npy" / str(i), i, Modality.VISIBLE, 0) for i in range(2)]
    gone = Sample(Path("/nowhere/a.png"), 0, Modality.VISIBLE, 0)
    record = record_listing([*rows, gone], [tmp_path])
    assert [(image.path, image.bytes) for image in record.images] == [
        ("x.npy/0", "5"),
        ("x.npy/1", "5"),
        ("/nowhere/a.png", "-1"),
    ]


def test_summaries_name_the_counts_that_differ(samples, tmp_path):
    old, new = record_listing(samples, [tmp_path]).summary, record_listing(samples[:3], [tmp_path]).summary
    assert summary_changes(old, old) == []
    assert summary_changes(old, new) == ["images 4, now 3"]
    assert summary_changes({**old, "digest": "other"}, old) == [
        "the same numbers of images, identities and cameras, but other paths, labels or files"
    ]


def test_images_of_equal_size_are_told_apart_by_their_content(samples, tmp_path):
    old = record_listing(samples, [tmp_path], ["a", "b", "c", "d"]).summary
    new = record_listing(samples, [tmp_path], ["a", "b", "x", "d"]).summary
    unknown = record_listing(samples, [tmp_path]).summary
    assert summary_changes(old, new) == ["the content of images, whose names and sizes are the same"]
    assert summary_changes(old, old) == summary_changes(old, unknown) == summary_changes(unknown, new) == []


def test_results_with_and_without_attributes_are_on_the_same_images(samples):
    with_attributes, bare = record_listing(samples), record_listing([replace(s, attributes=None) for s in samples])
    assert with_attributes.digest != bare.digest
    assert with_attributes.image_digest == bare.image_digest
    other = [replace(samples[0], identity=7), *samples[1:]]
    assert record_listing(other).image_digest != bare.image_digest
