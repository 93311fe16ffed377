from __future__ import annotations

from pathlib import Path

import pytest

from vireid.core.errors import DataError
from vireid.core.types import Modality, Sample
from vireid.data.attributes import AttributeTable, attach, table_findings


def samples(*people: tuple[int, int]) -> list[Sample]:
    """(camera, identity) -> training samples; the label is the rank, the folder the number."""
    ranks = {number: rank for rank, number in enumerate(sorted({identity for _, identity in people}))}
    return [Sample(Path(f"{n:04d}/1.jpg"), ranks[n], Modality.VISIBLE, camera) for camera, n in people]


def folder(sample: Sample) -> int:
    return int(sample.path.parent.name)


def table(rows: dict, gaps: bool = False) -> AttributeTable:
    places = {key: f"line {line}" for line, key in enumerate(rows, start=2)}
    return AttributeTable(Path("table.csv"), ("bag", "hat"), rows, places, gaps)


def test_samples_get_the_row_of_their_camera_and_person() -> None:
    rows = {(1, 20): (1, 0), (None, 20): (0, 0), (None, 7): (-1, 1)}
    before = samples((1, 20), (2, 20), (1, 7))
    after = attach(before, table(rows), identity_of=folder)
    assert [s.attributes for s in after] == [(1, 0), (0, 0), (-1, 1)]
    assert [(s.path, s.identity, s.camera) for s in after] == [(s.path, s.identity, s.camera) for s in before]
    assert all(s.attributes is None for s in before)


def test_a_camera_without_a_row_is_not_annotated_but_a_person_without_is_a_fault() -> None:
    rows = {(1, 20): (1, 0)}
    assert [s.attributes for s in attach(samples((1, 20), (2, 20)), table(rows), identity_of=folder)] == [(1, 0), None]
    with pytest.raises(DataError) as caught:
        attach(samples((1, 20), (1, 21), (2, 22)), table(rows), identity_of=folder)
    assert caught.value.text == "table.csv does not fit the dataset (DATA.ATTRIBUTES)"
    assert [finding.text for finding in caught.value.findings] == [
        "no row for identities 21, 22, of which there are images; add the rows,"
        " with empty cells for values that are not annotated"
    ]


def test_rows_of_other_identities_are_refused_if_all_are_known() -> None:
    rows = {(None, 5): (1, 0), (None, 6): (1, 0), (None, 112): (1, 0)}
    assert table_findings(table(rows), {5}) == []
    (finding,) = table_findings(table(rows), {5}, all_identities={5, 6})
    assert finding.text == (
        "rows of identities that the dataset does not have: line 4 (identity 112); correct or remove them"
    )


def test_the_released_matrices_may_have_gaps_and_more_people() -> None:
    rows = {(1, 5): (1, 0), (1, 112): (1, 0)}
    assert table_findings(table(rows, gaps=True), {5, 6}, all_identities={5, 6, 7}) == []


@pytest.mark.parametrize("gaps", [False, True])
def test_a_table_of_another_dataset(gaps: bool) -> None:
    rows = {(1, 5): (1, 0), (2, 5): (1, 0)}
    (finding,) = table_findings(table(rows, gaps), {7, 8}, all_identities={7, 8, 9})
    assert finding.text == (
        "it annotates none of the identities of the dataset: rows are for 5, images are of 7, 8, 9;"
        " is it the table of another dataset?"
    )
