from __future__ import annotations

import numpy as np
import pytest

from vireid.core.arrays import embedding_matrices, l2_normalized_rows, require_finite, rescaled
from vireid.core.errors import DataError, UserError


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_any_norm_have_norm_1(scale, dtype):
    rows = np.random.default_rng(0).standard_normal((5, 7)).astype(dtype)
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    result = l2_normalized_rows("rows", (rows * dtype(scale)).astype(dtype))
    assert result.dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    if scale == 1:
        np.testing.assert_array_equal(result, expected)


def test_rows_that_fit_float64_only_are_scaled_before_they_are_converted():
    result = l2_normalized_rows("rows", np.array([[3e200, 4e200], [3e-200, 4e-200]]), dtype=np.float32)
    np.testing.assert_allclose(result, [[0.6, 0.8]] * 2, rtol=1e-6)


@pytest.mark.parametrize(("value", "fault"), [(0.0, "zero"), (np.nan, "not finite"), (np.inf, "not finite")])
def test_rows_without_a_direction_are_named(value, fault):
    rows = np.ones((4, 3))
    rows[2] = value
    with pytest.raises(DataError, match=rf"^rows: row 2 is {fault} \(1 of 4 rows"):
        l2_normalized_rows("rows", rows)


def test_scaling_is_exact_and_leaves_ordinary_rows_alone():
    rows = np.array([[1.5e20, 3.0], [0.1, 0.2]])
    largest = np.abs(rows).max(axis=1, keepdims=True)
    result = rescaled(rows, largest)
    np.testing.assert_array_equal(result[1], rows[1])
    factor = rows[0, 0] / result[0, 0]
    assert np.log2(factor) == round(np.log2(factor))
    assert result[0, 1] * factor == 3.0


@pytest.mark.parametrize(
    ("queries", "gallery"),
    [((2, 3), (2, 4)), ((2, 3), (0, 3)), ((2, 0), (2, 0)), ((3,), (2, 3))],
)
def test_sides_that_do_not_fit_are_refused(queries, gallery):
    with pytest.raises(UserError):
        embedding_matrices(np.zeros(queries), np.zeros(gallery))


def test_no_queries_are_allowed():
    assert embedding_matrices(np.zeros((0, 3)), np.ones((2, 3)))[0].shape == (0, 3)


def test_the_first_row_that_is_not_finite_is_named():
    with pytest.raises(DataError, match=r"^x: row 1 is not finite \(2 of 3 rows\)"):
        require_finite("x", np.array([[0.0], [np.nan], [np.inf]]))
