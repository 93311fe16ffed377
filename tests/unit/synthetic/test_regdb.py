"""The written RegDB layout is one that the reader takes, for each of the ten trials."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from vireid.core.errors import UserError
from vireid.core.types import Modality
from vireid.data.datasets.regdb import RegDB
from vireid.synthetic import Recipe, regdb, write_dataset

RECIPE = Recipe(layout="regdb", identities=7, images=2, seed=3, size=(32, 32))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "regdb"
    assert write_dataset(folder, RECIPE, progress=False)
    assert not write_dataset(folder, RECIPE, progress=False)
    return folder


def people(samples) -> set[int]:
    return {int(sample.path.parent.name) for sample in samples}


def test_ten_trials_each_with_everybody_in_one_half(root: Path) -> None:
    splits = set()
    for trial in range(1, 11):
        data = RegDB(root=str(root), split=trial, attributes=str(root / "attributes.csv"))
        train, test = data.train(), data.test()
        assert len(people(train)) == 3
        assert people(train) | people(test) == set(range(1, 8))
        assert not people(train) & people(test)
        assert len(train) == 3 * 2 * 2
        assert [s.modality for s in test] == [Modality.VISIBLE] * 8 + [Modality.INFRARED] * 8
        assert all(s.attributes is not None for s in train + test)
        splits.add(frozenset(people(test)))
    assert len(splits) > 3
    assert data.facts().num_attributes == 8


def test_thermal_pictures_are_grey_and_all_have_the_size(root: Path) -> None:
    for sample in RegDB(root=str(root)).test():
        with Image.open(sample.path) as image:
            assert (image.format, image.mode, image.size) == ("BMP", "RGB", (32, 32))
            channels = {channel.tobytes() for channel in image.split()}
        assert (len(channels) == 1) == (sample.modality is Modality.INFRARED)


def test_only_the_documented_entries(root: Path) -> None:
    entries = ["Thermal", "Visible", "attributes.csv", "idx", "synthetic.json"]
    assert sorted(entry.name for entry in root.iterdir()) == entries
    assert len(list((root / "idx").iterdir())) == 40


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ((3, None, None), "--identities must be between 4 (2 to train, 2 to test) and 9999, got 3"),
        ((10, 9, None), "--test-identities must be between 2 and 8 (2 of the 10 are needed to train), got 9"),
        ((10, 1, 2), "--val-identities is not for --layout regdb, which has no validation people\n"
         "--test-identities must be between 2 and 8 (2 of the 10 are needed to train), got 1"),
    ],
)  # fmt: skip
def test_wrong_sizes(sizes: tuple, text: str) -> None:
    with pytest.raises(UserError) as caught:
        regdb.split_sizes(*sizes)
    assert str(caught.value) == text
