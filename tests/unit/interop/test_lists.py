from __future__ import annotations

import gzip
import json

import pytest

from vireid.interop.released import lists

ENTRY = {"key": "conv1.weight", "shape": [64, 3, 7, 7], "dtype": "float32"}


def test_a_description_becomes_a_list():
    made = lists.from_description({"n_class": 395, "keys": [{**ENTRY, "used": False}, {**ENTRY, "key": "b"}]})
    assert made == {"num_ids": 395, "keys": [["conv1.weight", [64, 3, 7, 7], False], ["b", [64, 3, 7, 7], True]]}


def test_the_other_form_of_description():
    assert lists.from_description({"entries": [ENTRY]}, 206)["num_ids"] == 206


@pytest.mark.parametrize("content", [{"keys": []}, {"n_class": 5}, {"n_class": 5, "keys": [{"shape": [1]}]}])
def test_what_is_no_description(content):
    with pytest.raises(KeyError):
        lists.from_description(content)


def test_packing_is_deterministic_and_loses_nothing():
    content = lists.from_description({"n_class": 5, "keys": [ENTRY]})
    assert lists.packed(content) == lists.packed(content)
    assert json.loads(gzip.decompress(lists.packed(content))) == content
