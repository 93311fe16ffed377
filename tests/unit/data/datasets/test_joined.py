"""Joined datasets: numbering, attributes, test images, and everything that is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from vireid.core.errors import ArgumentError, DataError
from vireid.core.types import DatasetInfo, Modality, Sample
from vireid.data import DatasetShareSampler, JoinedDatasets, RegDB
from vireid.data.heldout import hold_out
from vireid.runs.listing_record import record_listing


class Part:
    """Dataset in memory: identities with one image in each camera; cameras 3 and up are infrared."""

    def __init__(self, root, identities, cameras=(1, 3), attributes=(), width=None):
        self.root, self.identities, self.cameras = Path(root), identities, cameras
        self.attribute_names, self.width = tuple(attributes), len(attributes) if width is None else width

    def _samples(self, split, numbers):
        modality = {camera: Modality.INFRARED if camera >= 3 else Modality.VISIBLE for camera in self.cameras}
        values = (1,) * self.width or None
        return [
            Sample(self.root / f"{split}/{i}_{c}.jpg", i, modality[c], c, values) for i in numbers for c in self.cameras
        ]

    def train(self):
        return self._samples("train", range(self.identities))

    def test(self):
        return self._samples("test", (7, 9))

    def facts(self):
        return DatasetInfo(self.identities, len(self.cameras), self.width)


@pytest.fixture
def joined():
    def make(test=None, **parts):
        parts = parts or {"one": Part("/a", 3), "two": Part("/b", 5, cameras=(1, 2, 4))}
        return JoinedDatasets(datasets=parts, test=test)

    return make


def test_identities_and_cameras_never_collide(joined):
    samples = joined().train()
    by_dataset = {name: [s for s in samples if s.dataset == name] for name in ("one", "two")}
    assert {s.identity for s in by_dataset["one"]} == {0, 1, 2}
    assert {s.identity for s in by_dataset["two"]} == {3, 4, 5, 6, 7}
    assert {s.camera for s in by_dataset["one"]} == {1, 3}
    assert {s.camera for s in by_dataset["two"]} == {4, 5, 7}
    assert joined().facts() == DatasetInfo(8, 5, 0)


def test_the_test_images_of_one_part_are_unchanged(joined):
    parts = {"one": Part("/a", 3), "two": Part("/b", 5)}
    assert joined(**parts).test() == parts["one"].test()
    second = joined("TWO", **parts)
    assert second.test() == parts["two"].test()
    assert {s.camera for s in second.train() if s.dataset == "two"} == {1, 3}  # as in its test images
    assert {s.camera for s in second.train() if s.dataset == "one"} == {4, 6}
    assert second.test_key == {"data": "Part"}


def test_attributes_of_one_part_only_are_unknown_in_the_other(joined):
    samples = joined(one=Part("/a", 2, attributes=("hat", "bag")), two=Part("/b", 2)).train()
    assert {(s.dataset, s.attributes) for s in samples} == {("one", (1, 1)), ("two", None)}


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (Part("/b", 2, attributes=("hat", "skirt")), "two: has the attribute 'skirt' where one has 'bag'"),
        (Part("/b", 2, attributes=("hat",)), "two: has 1 attribute, one has 2"),
        (Part("/b", 2, width=3), "two: has 3 attributes, one has 2"),
        (Part("/a", 2), "two: 4 training images also in one"),
    ],
)
def test_parts_that_do_not_fit_are_refused(joined, other, text):
    with pytest.raises(DataError, match=text):
        joined(one=Part("/a", 2, attributes=("hat", "bag")), two=other).train()


def test_faults_of_all_parts_at_once(joined, tmp_path):
    with pytest.raises(DataError) as caught:
        joined(one=RegDB(root=tmp_path / "x"), two=RegDB(root=tmp_path / "y"), three=Part("/a", 2)).train()
    assert all(str(tmp_path / name) in str(caught.value) for name in "xy")


def test_wrong_arguments(joined):
    with pytest.raises(ArgumentError, match="datasets needs at least two datasets, got 1"):
        joined(one=Part("/a", 2))
    with pytest.raises(ArgumentError, match="datasets has joined datasets as a part"):
        joined(one=Part("/a", 2), two=joined())
    with pytest.raises(ArgumentError, match="test = 'tow' is not a part; did you mean 'two'"):
        joined("tow")


def test_the_checkpoint_key_and_the_listing_name_all_parts(joined):
    key = joined(one=RegDB(root="a", split=3), two=Part("/b", 2)).checkpoint_key
    assert key == {"data": "JoinedDatasets", "parts": [{"data": "RegDB", "split": 3}, {"data": "Part"}]}
    same_paths = joined(one=Part("/a", 2), two=Part("/b", 2))
    record = record_listing(same_paths.train(), [Path("/a"), Path("/b")])
    assert [image.path for image in record.images if image.identity in "02"][::2] == [
        "one:train/0_1.jpg",
        "two:train/0_1.jpg",
    ]
    changed = joined(one=Part("/a", 2), two=Part("/b", 3))
    assert record_listing(changed.train()).digest != record_listing(same_paths.train()).digest


def test_every_dataset_holds_out_identities(joined):
    samples = joined(one=Part("/a", 10), two=Part("/b", 30)).train()
    rows, held = hold_out(samples, identities=8, seed=1)
    assert len(rows) + len(held) == len(samples)
    assert Counter(name for name, _ in {(samples[i].dataset, samples[i].identity) for i in held}) == {
        "one": 2,
        "two": 6,
    }


@pytest.mark.parametrize(("shares", "expected"), [(None, (3, 3)), ({"ONE": 2, "two": 1}, (4, 2))])
def test_a_batch_has_identities_by_share(joined, shares, expected):
    samples = joined(one=Part("/a", 10), two=Part("/b", 200)).train()
    batches = []
    for rank in (0, 1):
        sampler = DatasetShareSampler(
            samples, identities=6, per_modality=2, shares=shares, rank=rank, world=2, steps=20
        )
        batches.append(np.array(list(sampler)))
    whole = DatasetShareSampler(samples, identities=6, per_modality=2, shares=shares, steps=20)
    assert np.array_equal(np.sort(np.concatenate(batches, axis=1)), np.sort(np.array(list(whole))))
    for batch in whole:
        drawn = {(samples[row].dataset, samples[row].identity) for row in batch}
        assert Counter(name for name, _ in drawn) == dict(zip(("one", "two"), expected))
        assert Counter(samples[row].modality for row in batch) == {Modality.VISIBLE: 12, Modality.INFRARED: 12}
    assert len({sample for batch in batches[0] for sample in (samples[row].dataset for row in batch)}) == 2


@pytest.mark.parametrize(
    ("shares", "identities", "text"),
    [
        ({"one": 1, "tow": 1}, 4, "shares has no dataset named 'tow'; did you mean 'two'"),
        ({"one": 1}, 4, "shares has no share for two"),
        ({"one": 0, "two": 1}, 4, "shares of one must be positive"),
        ({"one": 1, "two": 100}, 4, "identities = 4 leaves no identity of one in a batch"),
        ({"one": 3, "two": 1}, 8, "a batch needs 6 identities of the dataset one, which has only 3"),
    ],
)
def test_wrong_shares(joined, shares, identities, text):
    with pytest.raises((ArgumentError, DataError), match=text):
        DatasetShareSampler(joined().train(), identities=identities, per_modality=1, shares=shares)
