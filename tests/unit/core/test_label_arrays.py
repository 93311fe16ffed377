from __future__ import annotations

import numpy as np
import pytest
import torch

from vireid.core.errors import DataError, UserError
from vireid.core.label_arrays import comparable_labels, label_array
from vireid.core.labels import LARGEST

FOUR = [
    [4], [4.0], ["4"], ["0004"], ["4.0"], [" 4 "], [b"4"], (4,), np.array([4], np.uint64), np.array([4], np.int8),
    np.array([4.0], np.float16), np.array([4], object), np.array(["4"], object), np.array([np.int64(4)], object),
    torch.tensor([4]), torch.tensor([4.0]), torch.tensor([4], dtype=torch.uint8),
    torch.tensor([4.0], dtype=torch.bfloat16), [np.int64(4)], [np.str_("4")],
]  # fmt: skip


@pytest.mark.parametrize("values", FOUR, ids=repr)
def test_every_form_of_a_whole_number_is_that_number(values):
    array = label_array("ids", values)
    assert (array.dtype, array.tolist()) == (np.int64, [4])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([True, False], "ids holds true and false"),
        (np.array([True]), "ids holds true and false"),
        (torch.tensor([True]), "ids holds true and false"),
        ([1, True], "ids holds true and false"),
        (["4", 4], "ids mixes text ('4') and other values (4)"),
        (np.array(["4", 4], object), "ids mixes text"),
        (["a", float("nan")], "ids mixes text ('a') and other values (nan)"),
        ([1.0, float("nan")], "ids: entry 1 is nan, which is not finite"),
        ([1.5], "ids: entry 0 is 1.5, which is not an integer"),
        ([1.0, float("inf")], "ids: entry 1 is inf, which is not finite"),
        ([2.0**60], "is too large for a float; give integers"),
        ([3, -1], "ids: entry 1 is -1, which is negative"),
        ([1, 2**63], "ids: entry 1 is 9223372036854775808"),
        ([1, 10**21], "ids: entry 1 is 1000000000000000000000"),
        ([1, None], "ids: entry 1 is None; labels are 64-bit integers or text"),
        (["mia", " "], "ids: entry 1 is ' ': is empty"),
        (["mia", "-3"], "ids: entry 1 is '-3': is negative"),
        (["3", "1" * 21], "is larger than 9223372036854775807"),
        ([1j], "values of the type complex128"),
        (np.array(["2024-05-31"], "datetime64[D]"), "values of the type datetime64[D]"),
        ([[1], [2, 3]], "ids"),
        ([10**5000], "ids: entry 0 is"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else None,
)
def test_what_is_no_label_is_one_clear_error(values, text):
    with pytest.raises(UserError) as caught:
        label_array("ids", values)
    assert text in str(caught.value)


def test_both_sides_are_compared_by_value():
    def equal(left, right):
        a, b = comparable_labels(("query_ids", left), ("gallery_ids", right))
        assert a.dtype == b.dtype == np.int64
        return (a[:, None] == b[None]).tolist()

    assert equal(["0004"], [4, 5]) == [[True, False]]
    assert equal([4.0], ["4", "5"]) == [[True, False]]
    assert equal(["mia", "leo"], ["leo", "noa"]) == [[False, False], [True, False]]
    assert equal(["cafe\u0301"], ["caf\u00e9"]) == [[True]]
    assert equal(["4"], ["04", "mia"]) == [[True, False]]
    assert equal([4], ["04", "mia"]) == [[True, False]]
    assert equal([LARGEST], [LARGEST, LARGEST - 1]) == [[True, False]]
    assert equal(np.array([LARGEST], np.uint64), [LARGEST - 1]) == [[False]]
    with pytest.raises(UserError, match=r"query_ids holds integers and gallery_ids holds names .such as 'mia'."):
        equal([4], ["mia"])
    with pytest.raises(UserError, match="gallery_ids holds integers and query_ids holds names"):
        equal(["id4"], ["4"])


def test_errors_of_the_row_number_are_data_errors():
    with pytest.raises(DataError):
        label_array("ids", [0.5])


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        (torch.tensor([257.0, 1.0], dtype=torch.bfloat16), 256),
        (torch.tensor([2049.0, 1.0], dtype=torch.float16), 2048),
        (np.array([2049, 1], np.float16), 2048),
        (np.array([2**24 + 1, 1], np.float32), 2**24),
        ([np.float32(2**24 + 1), 1.0], 2**24),
        (list(torch.tensor([257.0], dtype=torch.bfloat16)), 256),
    ],
)
def test_floats_in_which_neighbouring_labels_are_equal_are_refused(values, limit):
    with pytest.raises(DataError, match=f"ids: entry 0 is {limit}.0, which is too large for a float; give integers"):
        label_array("ids", values)


def test_masked_entries_and_sparse_tensors_are_refused():
    with pytest.raises(UserError, match="ids is a masked array with masked entries"):
        label_array("ids", np.ma.array([1, 2], mask=[0, 1]))
    assert label_array("ids", np.ma.array([1, 2], mask=[0, 0])).tolist() == [1, 2]
    with pytest.raises(UserError, match="ids is a sparse tensor"):
        label_array("ids", torch.tensor([1, 2]).to_sparse())
