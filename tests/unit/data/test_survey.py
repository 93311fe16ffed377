from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vireid.core.errors import DataError
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data.datasets.sysu import SysuMM01
from vireid.data.survey import Surveyed, one_modality, require_listing, survey

V, I = Modality.VISIBLE, Modality.INFRARED  # noqa: E741


def sample(identity: int, modality: Modality) -> Sample:
    return Sample(Path("x.jpg"), identity, modality, 1)


class Folder:
    """A data set that says or raises what it is given."""

    def __init__(self, train: object = (), test: object = (), facts: object = DatasetInfo()) -> None:
        self.answers = {"train": train, "test": test, "facts": facts}

    def _answer(self, name: str):
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def train(self):
        return self._answer("train")

    def test(self):
        return self._answer("test")

    def facts(self):
        return self._answer("facts")


GOOD = [sample(0, V), sample(0, I), sample(1, V), sample(1, I)]


def test_a_sound_data_set() -> None:
    dataset = Folder(GOOD, GOOD)
    assert not isinstance(dataset, Surveyed)
    found = survey(dataset)
    assert (list(found.train), list(found.test), list(found.faults)) == (GOOD, GOOD, [])
    require_listing(dataset)


def test_faults_of_both_splits_are_raised_together() -> None:
    dataset = Folder(DataError("a is broken (2 faults):\n  - one\n  - two"), DataError("three"), DataError("three"))
    assert list(survey(dataset).faults) == ["one", "two", "three"]
    with pytest.raises(DataError) as caught:
        require_listing(dataset)
    assert str(caught.value) == "the data set cannot be used (3 faults):\n  - one\n  - two\n  - three"


def test_one_refusal_stays_as_it_was_said() -> None:
    error = DataError("a is broken (1 fault):\n  - one")
    with pytest.raises(DataError) as caught:
        require_listing(Folder(error, error, error))
    assert caught.value is error
    assert list(survey(Folder(error, error, error)).faults) == ["one"]


def test_what_the_system_refuses_is_a_fault_too() -> None:
    found = survey(Folder(PermissionError(13, "Permission denied", "cam1/0005"), GOOD))
    assert list(found.faults) == ["cam1/0005 cannot be read: Permission denied"]
    assert list(found.test) == GOOD


def test_empty_lists_and_people_of_one_modality() -> None:
    dataset = Folder([sample(0, V), sample(1, I), sample(2, V), sample(2, I)], [])
    expected = [
        "the test split has no image",
        "training identities (labels) without visible images: 1",
        "training identities (labels) without infrared images: 0",
    ]
    assert list(survey(dataset).faults) == expected
    with pytest.raises(DataError) as caught:
        require_listing(dataset)
    assert str(caught.value).split("\n  - ")[1:] == expected
    assert one_modality(dataset.train()) == {V: [1], I: [0]}


def test_sysu_lists_what_is_sound_beside_what_is_not(sysu_root: Path) -> None:
    whole = SysuMM01(root=str(sysu_root)).survey()
    assert not whole.faults
    (sysu_root / "exp" / "val_id.txt").write_text("seven")
    shutil.rmtree(sysu_root / "cam6" / "0012")
    found = SysuMM01(root=str(sysu_root)).survey()
    assert len(found.faults) == 2
    assert len(found.train) == len(whole.train) - 4 - 2
    assert list(found.test) == list(whole.test)


def test_faults_of_attributes_join_those_of_the_listing(sysu_root: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("identity,bag\n5,1\n12,x\n")
    shutil.rmtree(sysu_root / "cam4")
    with pytest.raises(DataError) as caught:
        require_listing(SysuMM01(root=str(sysu_root), attributes=str(table)))
    text = str(caught.value)
    assert text.startswith(f"{sysu_root} cannot be used as SYSU-MM01 (2 faults):\n  - cam4 missing;")
    assert text.endswith(f"  - attributes {table}: line 3, column bag: 'x' is not 0, 1 or empty")


def test_attributes_of_people_who_are_not_there(sysu_root: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("identity,bag\n5,1\n12,\n7,0\n3,1\n21,1\n")
    dataset = SysuMM01(root=str(sysu_root), attributes=str(table))
    assert list(dataset.survey().faults) == [
        f"attributes {table}: no row for identity 20, of whom there are images; add the rows,"
        " with empty cells where nobody annotated",
        f"attributes {table}: rows of identities that the data set does not have: line 6 (identity 21);"
        " correct or remove them",
    ]
    table.write_text("identity,bag\n5,1\n12,\n7,0\n3,1\n20,1\n")
    dataset = SysuMM01(root=str(sysu_root), attributes=str(table))
    assert {s.identity: s.attributes for s in dataset.train()} == {0: (1,), 1: (0,), 2: None}
    assert dataset.facts() == DatasetInfo(num_ids=3, num_cameras=6, num_attributes=1)
