from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import DataError
from vireid.core.labels import (
    LARGEST,
    int64_array,
    natural_key,
    normalized_name,
    number_fault,
    spelling_key,
    whole_number,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3", 3), ("3.0", 3), ("3.000", 3), ("3.", 3), ("0003", 3), (" 3 ", 3), ("0", 0), ("-0", 0), ("000", 0),
        (str(LARGEST), LARGEST), ("0" * 30 + "7", 7), ("9223372036854775807.0", LARGEST),
        (str(LARGEST + 1), None), ("1" * 21, None), ("9" * 5000, None), ("3.5", None), ("-3", None), ("-3.0", None),
        ("+3", None), ("1e0", None), ("3.0e+00", None), ("nan", None), ("", None), ("²", None), ("٣", None),
        ("c1", None),
    ],
)  # fmt: skip
def test_whole_numbers_are_parsed_by_value(text, number):
    assert whole_number(text) == number


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("-3", "negative"), ("-3.0", "negative"), ("3.5", "not an integer"), (".5", "not an integer"),
        ("1" * 21, "larger than 9223372036854775807"), ("9" * 5000, "larger than"),
        ("3.000000000000000000e+00", "scientific notation"), ("1e+20", "scientific notation"),
    ],
)  # fmt: skip
def test_numbers_that_are_no_labels_have_a_reason(text, part):
    assert part in number_fault(text)


@pytest.mark.parametrize("text", ["3", "3.0", "cam_c", "c-1", "1e5", "a3f", "2024-05-31", "v1.5"])
def test_labels_and_names_have_no_fault(text):
    assert number_fault(text) is None


def test_natural_order_counts_digits_as_numbers():
    names = ["c10", "c2", "c1", "b", "c", "c2a10", "c2a9", "c02", "10", "9"]
    assert sorted(names, key=natural_key) == ["9", "10", "b", "c", "c1", "c02", "c2", "c2a9", "c2a10", "c10"]
    assert sorted(["x" + "9" * 5000, "x" + "1" * 5001], key=natural_key)[0].startswith("x9")


def test_spellings_that_collide():
    for left, right in (("Mia", "mia"), ("c01", "c1"), ("Cam 1", "cam1"), ("cafe\u0301", "caf\u00e9")):
        assert spelling_key(left) == spelling_key(right)
    for left, right in (("c1", "c10"), ("c1", "c11"), ("c100", "c1"), ("ab", "ac")):
        assert spelling_key(left) != spelling_key(right)
    assert normalized_name(" cafe\u0301 ") == "caf\u00e9"


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**21, 3.0, 3.7, "3", None, True])
def test_values_that_are_no_64_bit_integers_are_refused_with_their_row(value):
    with pytest.raises(DataError, match=r"the identity of image 1 is .*, not an integer that fits into 64 bits"):
        int64_array([1, value], "identity")


def test_the_extremes_of_64_bits_are_kept():
    assert int64_array([LARGEST, -(2**63), np.int32(4)], "camera").tolist() == [LARGEST, -(2**63), 4]
    assert int64_array([], "camera").shape == (0,)
