"""Comparison up to ties, tolerance of zero gradients: results of other processors pass, wrong results fail."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from rounding import ROUNDINGS, ZeroGradients
from runner import HERE, cases_of
from ties import assert_equal_up_to_ties, in_random_order, in_row_order, released_k_reciprocal, score_range
from torch import nn

from vireid.retrieval import KReciprocal, measure

SETTINGS = {"k1": 20, "k2": 6, "weight": 0.3}


def features(seed: int, queries: int = 12, gallery: int = 36, width: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Random features of which some distances are equal in half precision."""
    generator = np.random.default_rng(seed)
    return generator.standard_normal((queries, width)), generator.standard_normal((gallery, width))


def reranked(queries: np.ndarray, gallery: np.ndarray, **changed: float) -> np.ndarray:
    return -KReciprocal(**{**SETTINGS, **changed}, half=("distances", "weights"))(queries, gallery)


def test_the_loops_give_the_stored_result_of_the_release():
    cases = [case for case in cases_of(HERE / "data") if case.kind == "mce_rerank"]
    assert cases
    for case in cases:
        stored, params = case.arrays, case.params
        settings = {"k1": params["k1"], "k2": params["k2"], "weight": params["lambda_value"]}
        found = released_k_reciprocal(stored["qf"], stored["gf"], **settings)
        np.testing.assert_allclose(found, stored["dist"], rtol=0, atol=5e-4)  # a unit of half precision below 1


@pytest.mark.parametrize("seed", range(3))
def test_a_result_with_equal_distances_in_another_order_is_accepted(seed):
    queries, gallery = features(seed)
    other = partial(in_random_order, generator=np.random.default_rng(1000 + seed))
    stored = released_k_reciprocal(queries, gallery, order=other, **SETTINGS)
    ours = reranked(queries, gallery)
    assert np.abs(stored - ours).max() > 3e-3, "these features have no equal distances that matter"
    assert_equal_up_to_ties(ours, stored, queries, gallery, atol=3e-3, **SETTINGS)


@pytest.mark.parametrize("changed", [{"k1": 19}, {"k2": 5}, {"weight": 0.31}])
def test_a_result_of_other_settings_is_refused_on_either_side(changed):
    queries, gallery = features(0)
    right, wrong = reranked(queries, gallery), reranked(queries, gallery, **changed)
    with pytest.raises(AssertionError, match="range over orders of equal distances"):
        assert_equal_up_to_ties(right, wrong, queries, gallery, atol=3e-3, **SETTINGS)
    with pytest.raises(AssertionError, match="equal distances in the order of rows"):
        assert_equal_up_to_ties(wrong, right, queries, gallery, atol=3e-3, **SETTINGS)


def test_random_orders_differ_in_equal_distances_only():
    distances = np.random.default_rng(0).integers(0, 5, (20, 30)).astype(np.float16)
    order = in_random_order(distances, np.random.default_rng(1))
    assert (np.sort(order, axis=1) == np.arange(30)).all()
    stable = in_row_order(distances)
    assert (order != stable).any()
    np.testing.assert_array_equal(*(np.take_along_axis(distances, ranks, axis=1) for ranks in (order, stable)))


def test_scores_change_only_where_distances_are_as_near_as_the_rounding():
    distances, right = np.array([[0.1, 0.3, 0.3001, 0.9]]), np.array([[False, True, False, True]])
    labels = np.array([7]), np.array([1, 7, 2, 7])

    def score(matrix: np.ndarray) -> np.ndarray:
        return np.array([measure(matrix, *labels).mean_ap])

    low, high = score_range(score, distances, right, 0.001)
    assert low == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert high == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert score_range(score, distances, right, 1e-6) == (high, high)


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [
        (nn.Linear(6, 5), nn.BatchNorm1d(5), (40, 6)),
        (nn.Conv2d(6, 5, 1), nn.BatchNorm2d(5), (10, 6, 9, 4)),
    ],
    ids=["linear", "convolution"],
)
def test_the_tolerance_of_a_bias_before_a_batch_normalization_grows_with_its_summands(layer, norm, shape):
    generator = torch.Generator().manual_seed(0)
    x, cotangent = (torch.randn(*size, generator=generator) for size in (shape, (shape[0], 5, *shape[2:])))
    zeros, usual = ZeroGradients(nn.Sequential(layer, norm)), {"rtol": 1e-4, "atol": 1e-9}
    norm(layer(x)).backward(1000 * cotangent)
    summands = 1000 * cotangent.abs().sum().item() / 5
    allowed = zeros.tolerance("0.bias", np.full(5, 1e-13), usual, torch.float32)
    assert layer.bias.grad.abs().max() > usual["atol"], "rounding is too small here for the test to mean something"
    assert layer.bias.grad.abs().max() < allowed["atol"]
    assert 0.1 < allowed["atol"] / (ROUNDINGS * torch.finfo(torch.float32).eps * summands) < 10
    assert zeros.tolerance("0.bias", np.full(5, 1e-13), usual, torch.float64)["atol"] < 1e-9 * summands
    assert zeros.tolerance("0.bias", np.array([1e-3, 0, 0, 0, 0]), usual, torch.float32) == usual, "not zero"
    assert zeros.tolerance("0.weight", np.zeros(5), usual, torch.float32) == usual, "not a bias"
