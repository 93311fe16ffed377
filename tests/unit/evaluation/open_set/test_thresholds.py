"""Thresholds, intervals and calibrations."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binom

from vireid.core.errors import ArgumentError, DataError
from vireid.evaluation.open_set import (
    IsotonicCalibration,
    LogisticCalibration,
    bootstrap_identities,
    choose_threshold,
    clopper_pearson,
    reliability,
    searches_needed,
)
from vireid.evaluation.open_set.thresholds import sure_errors


@pytest.mark.parametrize("fpir", [0.01, 0.05, 0.1, 0.5, 1.0])
def test_the_realized_rate_is_at_most_the_wanted_one(fpir):
    scores = np.random.default_rng(0).integers(0, 30, 77) / 30  # with ties
    threshold = choose_threshold(scores, fpir=fpir)
    assert threshold.realized <= fpir
    assert threshold.realized == (scores > threshold.limit).mean()
    assert threshold.below_resolution == (77 * fpir < 1)


def test_the_bound_of_sure_errors_is_that_of_the_binomial_distribution():
    for number, fpir in ((59, 0.05), (158, 0.05), (400, 0.02), (58, 0.05)):
        allowed = sure_errors(number, fpir, 0.95)
        if allowed >= 0:
            assert binom.cdf(allowed, number, fpir) <= 0.05 + 1e-12
        assert binom.cdf(allowed + 1, number, fpir) > 0.05
    assert sure_errors(58, 0.05, 0.95) == -1


def test_too_few_searches_cannot_be_sure():
    with pytest.raises(DataError, match=r"58 non-mated searches cannot justify a rate of 0\.05 .* 59 are needed"):
        choose_threshold(np.arange(58.0), fpir=0.05, sure=True)
    assert choose_threshold(np.arange(59.0), fpir=0.05, sure=True).allowed == 0
    assert searches_needed(0.05) == 59


def test_intervals_cover_the_rate():
    for errors in (0, 1, 7, 20):
        low, high = clopper_pearson(errors, 20)
        assert 0 <= low <= errors / 20 <= high <= 1
    people = np.repeat(np.arange(40), 5)
    errors = np.random.default_rng(0).random(200) < 0.2
    low, high = bootstrap_identities(errors, people, seed=1)
    assert low < errors.mean() < high
    assert bootstrap_identities(errors, people, seed=1) == (low, high)
    assert bootstrap_identities(np.zeros(200), people) == (0.0, 0.0)


@pytest.mark.parametrize("kind", [LogisticCalibration, IsotonicCalibration])
def test_calibrations_are_monotone_and_survive_json(kind):
    rng = np.random.default_rng(0)
    labels = rng.random(500) < 0.3
    scores = rng.normal(size=500) + labels
    calibration = kind.fit(scores, labels)
    p = calibration(np.linspace(-5, 5, 200))
    assert (np.diff(p) >= 0).all()
    assert 0 <= p.min() <= p.max() <= 1
    again = kind.from_json(json.loads(json.dumps(calibration.to_json())))
    np.testing.assert_array_equal(again(scores), calibration(scores))
    assert reliability(calibration(scores), labels).ece < 0.06


def test_platt_is_finite_for_separable_scores_and_maximum_likelihood_refuses_them():
    scores, labels = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])
    assert np.isfinite(LogisticCalibration.fit(scores, labels).slope)
    for same in (labels, 1 - labels):
        for each in (scores, np.array([0.1, 0.5, 0.5, 0.9])):
            for method in ("ml", "prior_weighted"):
                with pytest.raises(DataError, match="separable"):
                    LogisticCalibration.fit(each, same, method=method)


@pytest.mark.parametrize(("shift", "scale"), [(0.5, 1e-9), (1e6, 1.0), (0.0, 1e6)])
def test_a_calibration_does_not_depend_on_the_scale_of_the_scores(shift, scale):
    scores, labels = np.array([0.0, 1.0, 3.0, 2.0, 4.0, 5.0]), np.array([0, 0, 0, 1, 1, 1])
    expected = LogisticCalibration.fit(scores, labels)(scores)
    moved = shift + scale * scores
    np.testing.assert_allclose(LogisticCalibration.fit(moved, labels)(moved), expected, rtol=1e-5)


def test_a_posterior_follows_the_prior():
    rng = np.random.default_rng(1)
    labels = rng.random(400) < 0.5
    calibration = LogisticCalibration.fit(rng.normal(size=400) + labels, labels, method="prior_weighted", prior=0.2)
    scores = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(calibration.posterior(scores, 0.2), calibration(scores))
    assert (calibration.posterior(scores, 0.01) < calibration.posterior(scores, 0.5)).all()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: choose_threshold(np.array([])), DataError),
        (lambda: choose_threshold(np.array([np.nan])), DataError),
        (lambda: choose_threshold(np.ones(3), fpir=0), ArgumentError),
        (lambda: choose_threshold(np.ones(3), confidence=1), ArgumentError),
        (lambda: clopper_pearson(3, 2), ArgumentError),
        (lambda: LogisticCalibration.fit(np.ones(3), np.ones(3)), DataError),
        (lambda: LogisticCalibration.fit(np.array([0.9, 0.8, 0.1, 0.2]), np.array([0, 0, 1, 1])), DataError),
        (lambda: LogisticCalibration.fit(np.arange(4.0), np.array([0, 1, 0, 1]), method="other"), ArgumentError),
        (lambda: LogisticCalibration.fit(np.full(4, 0.5), np.array([0, 1, 0, 1])), DataError),
        (lambda: LogisticCalibration.from_json({"kind": "isotonic"}), DataError),
        (lambda: LogisticCalibration.from_json({"kind": "logistic", "slope": -1.0}), DataError),
        (lambda: IsotonicCalibration.from_json({"kind": "logistic"}), DataError),
        (lambda: choose_threshold(np.ones(3), np.ones(2)), DataError),
        (lambda: clopper_pearson(1, 2, confidence=2), ArgumentError),
        (lambda: searches_needed(0.0), ArgumentError),
        (lambda: searches_needed(1.0), ArgumentError),
        (lambda: bootstrap_identities(np.ones(3), np.ones(4)), DataError),
        (lambda: bootstrap_identities(np.ones(3), np.ones(3), confidence=0), ArgumentError),
        (lambda: bootstrap_identities(np.ones(3), np.ones(3), resamples=0), ArgumentError),
        (lambda: reliability(np.array([0.5]), np.array([np.nan])), DataError),
        (lambda: reliability(np.array([1.5]), np.array([1])), DataError),
        (lambda: reliability(np.array([0.5]), np.array([1]), bins=0), ArgumentError),
        (lambda: reliability(np.array([0.5]), np.array([1]), binning="other"), ArgumentError),
    ],
)
def test_what_is_refused(call, error):
    with pytest.raises(error):
        call()
