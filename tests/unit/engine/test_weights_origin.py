"""Whether weights were trained on the dataset of an evaluation."""

from __future__ import annotations

import json

import pytest

from vireid.engine.weights_origin import cross_dataset

CSV = {"data": "CsvDataset", "file": "images.csv", "num_ids": 4}
JOINED = {"data": "JoinedDatasets", "parts": [{"data": "SysuMM01"}, {"data": "RegDB", "split": 2}], "num_ids": 9}
MINE = {"training": {"digest": "a"}, "test_images": "b"}


@pytest.fixture
def checkpoint(tmp_path):
    def make(facts, inputs=None):
        content = {"facts": facts} if inputs is None else {"facts": facts, "inputs": inputs}
        (tmp_path / "meta.json").write_text(json.dumps(content))
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (MINE, None),
        ({"training": {"digest": "x"}, "test_images": "b"}, None),  # a grown training list
        ({"training": {"digest": "a"}, "test_images": "y"}, None),  # another test list
        ({"training": {"digest": "x"}, "test_images": "y"}, "trained on other images of CsvDataset"),
        (None, None),
    ],
)
def test_two_datasets_of_one_class_are_told_apart_by_their_listings(checkpoint, now, text):
    found = cross_dataset(checkpoint(CSV, MINE), {"data": "CsvDataset"}, now)
    assert found.get("cross_dataset") == text


def test_an_older_checkpoint_is_compared_by_class(checkpoint):
    now = {"training": {"digest": "x"}, "test_images": "y"}
    for inputs in (None, {"training": {"digest": "a"}}):
        assert cross_dataset(checkpoint(CSV, inputs), {"data": "CsvDataset"}, now) == {}
        assert cross_dataset(checkpoint(CSV, inputs), {"data": "LLCM"}, now) == {
            "cross_dataset": "trained on CsvDataset"
        }


def test_a_part_of_joined_datasets_is_not_another_dataset(checkpoint):
    now = {"training": {"digest": "x"}, "test_images": "y"}
    assert cross_dataset(checkpoint(JOINED, MINE), {"data": "RegDB", "split": 2}, now) == {}
    assert cross_dataset(checkpoint(JOINED, MINE), {"data": "LLCM"}, now) == {
        "cross_dataset": "trained on SysuMM01 + RegDB, split 2"
    }
