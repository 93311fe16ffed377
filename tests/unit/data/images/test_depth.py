"""Gray values of many bits to 8 bits, and the setting that says how."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.core.errors import UserError
from vireid.data.images.depth import DepthMapping, depth_fault, depth_mapping


@pytest.mark.parametrize("kind", [np.uint16, ">u2", np.int32, np.float32])
def test_percentiles_of_each_image_become_0_and_255(kind) -> None:
    values = np.arange(30000, 30000 + 24 * 12).reshape(24, 12).astype(kind)
    low, high = np.percentile(np.asarray(values, np.float64), (10, 90))
    mapped = DepthMapping(percentiles=(10, 90))(values)
    assert mapped.dtype == np.uint8
    expected = [[round(min(max((float(v) - low) / (high - low), 0), 1) * 255) for v in row] for row in values]
    np.testing.assert_array_equal(mapped, expected)


def test_a_range_is_the_same_for_all_images() -> None:
    mapping = DepthMapping(range=(1000, 2020))
    assert mapping(np.array([[0, 1000, 1004, 2020, 65535]], np.uint16)).tolist() == [[0, 0, 1, 255, 255]]
    assert mapping(np.array([[1510]], np.uint16)).tolist() == [[128]]


def test_constant_images_outliers_and_values_that_are_not_finite() -> None:
    mapping = DepthMapping(percentiles=(1, 99))
    assert mapping(np.full((4, 4), 7, np.uint16)).tolist() == [[0] * 4] * 4
    few = np.full((20, 20), 7, np.uint16)
    few[0, 0] = 9  # both percentiles are 7
    assert np.unique(mapping(few)).tolist() == [0, 255]
    values = np.array([[0.0, 1.0, np.nan, np.inf, -np.inf]], np.float32)
    assert DepthMapping(percentiles=(0, 100))(values).tolist() == [[0, 255, 0, 255, 0]]
    with pytest.raises(UserError, match="no finite value"):
        mapping(np.full((2, 2), np.nan, np.float32))


def test_the_setting() -> None:
    assert depth_mapping(None) is None
    assert depth_mapping({"PERCENTILES": (1.0, 99.0)}) == DepthMapping(percentiles=(1, 99))
    assert str(depth_mapping({"range": (0.0, 16383.0)})) == "range 0 to 16383"
    assert depth_fault({"percentiles": (1.0, 99.0)}) is None


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ({}, "needs exactly one of percentiles"),
        ({"percentiles": (1.0, 99.0), "range": (0.0, 1.0)}, "needs exactly one of percentiles"),
        ({"percentile": (1.0, 99.0)}, "has no option 'percentile'; did you mean 'percentiles'?"),
        ({"percentiles": (99.0, 1.0)}, "the smaller one first, got 99 and 1"),
        ({"percentiles": (0.0, 101.0)}, "needs percentiles between 0 and 100, got 0 and 101"),
        ({"range": (5.0, 5.0)}, "the smaller one first, got 5 and 5"),
        ({"range": (0.0, float("inf"))}, "needs two finite numbers"),
    ],
)
def test_faults_of_the_setting(setting, fault) -> None:
    assert fault in str(depth_fault(setting))
