"""The interval of a difference against what a plain loop draws, and the cases in which there is none."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.runs.results import read_queries
from vireid.suites.bootstrap import differences, query_means


def saved(path, precision, *, counted=None, rows=None, listing=""):
    """A queries.npz of protocol `all` in which the first correct image is found where precision is 1."""
    precision = np.atleast_2d(np.asarray(precision, np.float32))
    rows = np.arange(precision.shape[1]) if rows is None else rows
    arrays = {
        "row": rows,
        "id": rows // 2,
        "counted": np.ones(precision.shape, bool) if counted is None else counted,
        "first": np.where(precision == 1, 1, 5),
        "average_precision": precision,
        "inverse_penalty": precision / 2,
    }
    known = {"listing": np.array(listing)} if listing else {}
    np.savez(path, **known, **{f"all/{name}": value for name, value in arrays.items()})
    return path


def test_means_over_trials_leave_out_what_is_not_counted(tmp_path):
    counted = np.array([[True, True, False], [True, False, False]])
    file = saved(tmp_path / "q.npz", [[1, 0.5, 0.9], [0.5, 0.1, 0.9]], counted=counted)
    keys, values = query_means([read_queries(file)], "all")
    assert keys.tolist() == [[0, 0], [1, 0]]
    np.testing.assert_allclose(values, [[0.5, 0.75, 0.375], [0, 0.5, 0.25]], atol=1e-6)


def test_interval_is_that_of_a_plain_bootstrap(tmp_path):
    rng = np.random.default_rng(0)
    one, other = rng.uniform(0.3, 0.9, 200), rng.uniform(0.2, 0.8, 200)
    files = [saved(tmp_path / "a.npz", one), saved(tmp_path / "b.npz", other)]
    found = {d.metric: d for d in differences(files[:1], files[1:], "all")}
    gains = one.astype(np.float32) - other.astype(np.float32)
    drawn = [np.mean([gains[i] for i in rng.integers(0, 200, 200)]) for _ in range(2000)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found["mAP"].value == pytest.approx(gains.mean(), abs=1e-6)
    assert (found["mAP"].low, found["mAP"].high) == pytest.approx((low, high), abs=0.006)
    assert not found["mAP"].includes_zero
    assert found["mINP"].value == pytest.approx(gains.mean() / 2, abs=1e-6)
    assert found["rank1"].includes_zero


def test_what_is_hard_for_both_cancels(tmp_path):
    hard = np.random.default_rng(1).uniform(0, 0.9, 100)
    (gain,) = [
        d
        for d in differences([saved(tmp_path / "a.npz", hard + 0.01)], [saved(tmp_path / "b.npz", hard)], "all")
        if d.metric == "mAP"
    ]
    assert gain.high - gain.low < 1e-6
    assert not gain.includes_zero


def test_other_queries_are_no_pairs(tmp_path):
    files = [saved(tmp_path / "a.npz", [0.5, 0.5]), saved(tmp_path / "b.npz", [0.5, 0.5], rows=np.array([0, 7]))]
    with pytest.raises(ValueError, match="the rows were evaluated on different queries"):
        differences(files[:1], files[1:], "all")
    with pytest.raises(ValueError, match="the files have different queries"):
        query_means(list(map(read_queries, files)), "all")


def test_equal_rows_of_different_test_listings_are_no_pairs(tmp_path):
    """Rows and identities are the same numbers; the images are not."""
    files = [saved(tmp_path / f"{name}.npz", [0.5, 0.9], listing=name) for name in "ab"]
    with pytest.raises(ValueError, match="the rows were evaluated on different test listings"):
        differences(files[:1], files[1:], "all")
    with pytest.raises(ValueError, match="the files are of different test listings"):
        query_means(list(map(read_queries, files)), "all")
    older = saved(tmp_path / "older.npz", [0.5, 0.9])
    assert differences(files[:1], [older], "all")[0].queries == 2
