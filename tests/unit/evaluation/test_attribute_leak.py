from __future__ import annotations

import io
import os
import zipfile
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.core.types import Modality, Sample
from vireid.data.attributes import AttributeTable, read_sysu_attributes
from vireid.evaluation import QueryGalleryProtocol, RegDBProtocol, SysuProtocol, attribute_only
from vireid.evaluation.attribute_leak import read_test_identities, sysu_entries

BESIDE = Path(__file__).parents[3].parent / "shared" / "data" / "PAENet_Attribute.zip"
RELEASE = Path(os.environ.get("VIREID_ATTRIBUTES") or BESIDE)


def sample(identity, camera, attributes):
    modality = Modality.INFRARED if camera in (3, 6) else Modality.VISIBLE
    return Sample(Path(f"cam{camera}/{identity:04d}/1.jpg"), identity, modality, camera, attributes)


def test_without_ties_it_is_plain_retrieval_by_the_code():
    queries = [sample(1, 3, (0, 0, 0)), sample(2, 6, (1, 1, 1))]
    gallery = [sample(1, 1, (1, 0, 0)), sample(1, 2, (0, 0, 0)), sample(2, 1, (1, 1, 0)), sample(3, 4, (1, 1, 1))]
    report = attribute_only([*queries, *gallery], SysuProtocol(trials=1), tie_breaks=3)
    # camera 2 is not counted for camera 3: identity 1 stands at place 1 (distance 1), 2 and 3 behind it;
    # for identity 2 a stranger has the same code
    assert report.mean.rank(1) == 0.5
    assert report.mean.mean_ap == pytest.approx((1 + 1 / 2) / 2)
    assert report.mean.mean_inp == pytest.approx((1 + 1 / 2) / 2)
    assert report.spread["mAP"] == 0


def test_ties_are_broken_at_random_and_not_by_row():
    """Five people with one code, the right one first: rank k is k / 5 on average, AP the mean of 1 / place."""
    people = [sample(identity, 1, (1, 0)) for identity in range(5)] + [sample(0, 3, (1, 0)) for _ in range(40)]
    report = attribute_only(people, QueryGalleryProtocol(), tie_breaks=100)
    error = 4 * 0.5 / sqrt(40 * 100)
    assert report.mean.rank(1) == pytest.approx(0.2, abs=error)
    assert report.mean.mean_ap == pytest.approx(np.mean([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]), abs=error)
    assert report.mean.rank(5) == 1
    assert report.spread["rank1"] > 0.02


def test_a_nearer_code_always_comes_first():
    people = [sample(identity, 1, (1, 0)) for identity in range(1, 6)] + [sample(0, 2, (1, 1)), sample(0, 6, (1, 1))]
    report = attribute_only(people, SysuProtocol(trials=1), tie_breaks=30)
    assert report.values["rank1"] == [1.0] * 30


def test_orders_are_a_function_of_the_seed():
    people = [sample(identity, camera, (identity % 2,)) for identity in range(9) for camera in (1, 2, 3)]
    first, again, other = (attribute_only(people, SysuProtocol(trials=2), seed=seed) for seed in (0, 0, 1))
    assert first.values == again.values != other.values
    assert len(first.trials) == 2 * 20


def test_conditions_say_that_it_is_an_oracle_and_what_was_left_out():
    people = [sample(i, camera, (i,)) for i in (0, 1) for camera in (1, 3)]
    people.append(sample(2, 1, None))
    report = attribute_only(people, RegDBProtocol(direction="infrared_to_visible"), matcher="exact", tie_breaks=2)
    assert report.oracle
    assert report.conditions["protocol"] == "RegDB"
    assert report.conditions["matcher"] == "exact"
    assert report.conditions["left_out"] == "1 of 5 test images, which have no labels"
    assert report.mean.rank(1) == 1
    assert "† oracle" in str(report)


def test_what_cannot_be_matched_is_refused():
    with pytest.raises(DataError, match=r"none of the 1 test image has attributes: set DATA.ATTRIBUTES"):
        attribute_only([sample(1, 1, None)], SysuProtocol())
    with pytest.raises(DataError, match=r"test images have different numbers of attributes: 1, 2"):
        attribute_only([sample(1, 1, (0,)), sample(1, 3, (0, 1))], SysuProtocol())
    with pytest.raises(UserError, match=r"tie_breaks must be at least 1 and seed at least 0, got 0 and 0"):
        attribute_only([sample(1, 1, (0,))], SysuProtocol(), tie_breaks=0)


def table(rows):
    return AttributeTable(Path("table.csv"), ("bag", "hat"), rows, dict.fromkeys(rows, "line"), gaps=True)


def test_entries_are_the_labelled_cameras_of_each_identity():
    rows = {(6, 9): (1, 0), (1, 9): (1, 1), (1, 4): (0, 0), (2, 4): (-1, -1), (3, 5): (0, 1)}
    entries = sysu_entries(table(rows), [9, 4])
    assert [(e.identity, e.camera, e.modality.name, e.attributes) for e in entries] == [
        (4, 1, "VISIBLE", (0, 0)),
        (9, 1, "VISIBLE", (1, 1)),
        (9, 6, "INFRARED", (1, 0)),
    ]


def test_identities_without_any_label_are_named():
    with pytest.raises(DataError) as caught:
        sysu_entries(table({(1, 9): (1, 0)}), [9, 4, 77])
    assert str(caught.value) == (
        "table.csv has no label in any camera for 2 identities of 3: 4, 77 (it labels 1, between 9 and 9)"
    )
    with pytest.raises(DataError, match=r"table\.csv has rows without a camera: use the released files"):
        sysu_entries(table({(None, 9): (1, 0)}), [9])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "is missing; it holds the identities of the split"),
        ("", "is empty; it holds the identities"),
        ("1, x", "line 1: 'x' is not an identity number"),
        ("1,2,1", "lists identities twice: 0001"),
        ("1\n2\nthree\n", "line 3: 'three' is not an identity number"),
    ],
)
def test_lists_of_identities_that_cannot_be_used(tmp_path, text, fault):
    if text is not None:
        (tmp_path / "ids.txt").write_text(text)
    with pytest.raises(DataError) as caught:
        read_test_identities(tmp_path / "ids.txt")
    assert str(caught.value).startswith(f"the list of identities {tmp_path / 'ids.txt'} cannot be used (1 fault):")
    assert fault in str(caught.value)


@pytest.mark.parametrize("text", ["0006, 10,333\n", "6\n10\n333\n", "\ufeff6,\r\n10,\r\n333"])
def test_a_list_of_identities(tmp_path, text):
    (tmp_path / "ids.txt").write_bytes(text.encode())
    assert read_test_identities(tmp_path / "ids.txt") == [6, 10, 333]


EXPECTED = {  # rank-1, 10, 20, mAP, mINP of another implementation, means over 200 tie-breaks of its own
    ("hamming", "all"): (29.97, 87.92, 95.99, 39.81, 35.10),
    ("exact", "all"): (28.26, 75.98, 82.69, 36.16, 30.66),
    ("llr", "all"): (32.30, 89.97, 98.51, 43.27, 39.77),
    ("hamming", "indoor"): (37.03, 92.29, 99.89, 52.72, None),
    ("exact", "indoor"): (33.89, 76.06, 81.20, 46.58, None),
    ("llr", "indoor"): (37.85, 94.15, 100.0, 54.64, None),
}


@pytest.fixture(scope="module")
def release():
    """Labels of the release, and the 96 test identities, which its second sheet lists."""
    openpyxl = pytest.importorskip("openpyxl")
    if not RELEASE.exists():
        pytest.skip(f"the released file {RELEASE.name} is not here (VIREID_ATTRIBUTES names its place)")
    with zipfile.ZipFile(RELEASE) as archive:
        book = openpyxl.load_workbook(io.BytesIO(archive.read("regdb_attribute/label_finished.xlsx")))
    cells = book.worksheets[0].iter_rows(min_row=2, max_col=1, values_only=True)
    return read_sysu_attributes(RELEASE), [int(cell) for (cell,) in cells]


@pytest.mark.data
@pytest.mark.parametrize(("matcher", "mode"), EXPECTED)
def test_the_released_labels_give_the_published_table(release, matcher, mode):
    table, tested = release
    others = sysu_entries(table, sorted(table.identities() - set(tested)))
    report = attribute_only(
        sysu_entries(table, tested), SysuProtocol(mode=mode, trials=1), matcher=matcher, others=others, tie_breaks=100
    )
    names = ("rank1", "rank10", "rank20", "mAP", "mINP")
    for name, published in zip(names, EXPECTED[matcher, mode]):
        if published is not None:
            noise = 100 * report.spread[name] * sqrt(1 / 100 + 1 / 200)
            assert 100 * np.mean(report.values[name]) == pytest.approx(published, abs=4 * noise + 0.006), name


@pytest.mark.data
def test_the_released_test_identities_are_as_many_as_the_protocol_has(release):
    table, tested = release
    entries = sysu_entries(table, tested)
    assert len(tested) == 96
    assert sum(entry.modality == Modality.INFRARED for entry in entries) == 189
    assert sum(entry.modality == Modality.VISIBLE for entry in entries) == 301
