from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vireid.core.errors import DataError, Finding
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.datasets.sysu import SysuMM01
from vireid.data.listing import ProvidesListing, identities_without, list_dataset, require_listing

V, I = Modality.VISIBLE, Modality.INFRARED  # noqa: E741


def sample(identity: int, modality: Modality) -> Sample:
    return Sample(Path("x.jpg"), identity, modality, 1)


class Folder:
    """Dataset that returns or raises its arguments."""

    def __init__(self, train: object = (), test: object = (), facts: object = DatasetInfo()) -> None:
        self.results = {"train": train, "test": test, "facts": facts}

    def _result(self, name: str):
        result = self.results[name]
        if isinstance(result, Exception):
            raise result
        return result

    def train(self):
        return self._result("train")

    def test(self):
        return self._result("test")

    def facts(self):
        return self._result("facts")


def texts(findings) -> list[str]:
    return [finding.text for finding in findings]


GOOD = [sample(0, V), sample(0, I), sample(1, V), sample(1, I)]


def test_a_sound_dataset() -> None:
    dataset = Folder(GOOD, GOOD)
    assert not isinstance(dataset, ProvidesListing)
    listing = list_dataset(dataset)
    assert (list(listing.train), list(listing.test), listing.findings) == (GOOD, GOOD, ())
    require_listing(dataset)


def test_faults_of_both_splits_are_raised_together() -> None:
    two = DataError("a is broken", [Finding("one", place="x"), "two"])
    dataset = Folder(two, DataError("three"), DataError("three"))
    assert list_dataset(dataset).findings == (Finding("one", place="x"), Finding("two"), Finding("three"))
    with pytest.raises(DataError) as caught:
        require_listing(dataset)
    assert caught.value.text == "the dataset cannot be used"
    assert caught.value.findings == list_dataset(dataset).findings


def test_a_single_error_is_raised_unchanged() -> None:
    error = DataError("a is broken", ["one"])
    with pytest.raises(DataError) as caught:
        require_listing(Folder(error, error, error))
    assert caught.value is error
    assert texts(list_dataset(Folder(error, error, error)).findings) == ["one"]


def test_an_operating_system_error_is_a_fault() -> None:
    listing = list_dataset(Folder(PermissionError(13, "Permission denied", "cam1/0005"), GOOD))
    assert texts(listing.findings) == ["cam1/0005 cannot be read: Permission denied"]
    assert list(listing.test) == GOOD


def test_empty_lists_and_identities_of_one_modality() -> None:
    dataset = Folder([sample(0, V), sample(1, I), sample(2, V), sample(2, I)], [])
    expected = [
        "the test split has no image",
        "training identities (labels) without visible images: 1",
        "training identities (labels) without infrared images: 0",
    ]
    assert texts(list_dataset(dataset).findings) == expected
    with pytest.raises(DataError) as caught:
        require_listing(dataset)
    assert texts(caught.value.findings) == expected
    assert identities_without(dataset.train()) == {V: [1], I: [0]}


def test_sysu_lists_sound_images_next_to_faults(sysu_root: Path) -> None:
    whole = SysuMM01(root=str(sysu_root)).listing()
    assert not whole.findings
    (sysu_root / "exp" / "val_id.txt").write_text("seven")
    shutil.rmtree(sysu_root / "cam6" / "0012")
    listing = SysuMM01(root=str(sysu_root)).listing()
    assert len(listing.findings) == 2
    assert len(listing.train) == len(whole.train) - 4 - 2
    assert list(listing.test) == list(whole.test)


def test_faults_of_attributes_join_those_of_the_listing(sysu_root: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("identity,bag\n5,1\n12,x\n")
    shutil.rmtree(sysu_root / "cam4")
    with pytest.raises(DataError) as caught:
        require_listing(SysuMM01(root=str(sysu_root), attributes=str(table)))
    assert caught.value.text == f"{sysu_root} cannot be used as SYSU-MM01"
    of_listing, of_table = caught.value.findings
    assert of_listing.text.startswith("cam4 missing;")
    assert (of_table.place, of_table.text) == (
        f"attributes {table}: line 3, column bag",
        "'x' is not 0, 1 or empty",
    )


def test_attributes_of_identities_without_images(sysu_root: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("identity,bag\n5,1\n12,\n7,0\n3,1\n21,1\n")
    dataset = SysuMM01(root=str(sysu_root), attributes=str(table))
    findings = dataset.listing().findings
    assert {finding.place for finding in findings} == {f"attributes {table}"}
    assert texts(findings) == [
        "no row for identity 20, of which there are images; add the rows,"
        " with empty cells for values that are not annotated",
        "rows of identities that the dataset does not have: line 6 (identity 21); correct or remove them",
    ]
    table.write_text("identity,bag\n5,1\n12,\n7,0\n3,1\n20,1\n")
    dataset = SysuMM01(root=str(sysu_root), attributes=str(table))
    assert {s.identity: s.attributes for s in dataset.train()} == {0: (1,), 1: (0,), 2: None}
    assert dataset.facts() == DatasetInfo(num_ids=3, num_cameras=6, num_attributes=1)
