"""Thresholds for a wanted false positive rate, and confidence intervals of rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from vireid.core.errors import ArgumentError, DataError

_ROUNDING = 1e-9  # so that 0.1 x 10 allows one error


@dataclass(frozen=True)
class Threshold:
    """A decision limit: a score is accepted if it is larger.

    Args:
        limit: The limit; -inf accepts everything, inf nothing.
        wanted: Wanted share of accepted non-mated scores.
        allowed: Number of non-mated scores that may be accepted.
        realized: Share of the non-mated scores that is accepted.
        interval: Clopper-Pearson interval of the realized share.
        searches: Number of non-mated scores.
        identities: Number of identities that they are from; 0: not stated.
    """

    limit: float
    wanted: float
    allowed: int
    realized: float
    interval: tuple[float, float]
    searches: int
    identities: int = 0

    @property
    def below_resolution(self) -> bool:
        """Whether fewer than 1 / wanted scores were available, so that the wanted rate cannot be measured."""
        return self.searches * self.wanted < 1 - _ROUNDING


def limit_for(scores: np.ndarray, wanted: float) -> tuple[int, float]:
    """The limit of which at most a share of the scores is larger: the (k + 1)-th largest score.

    Args:
        scores: Non-mated scores (n,).
        wanted: Largest share of accepted scores.

    Returns:
        k = floor(wanted n) and the limit; -inf if all scores may be accepted.

    Example:
        >>> limit_for(np.array([0.1, 0.4, 0.2, 0.3]), 0.25)
        (1, 0.3)
    """
    if not 0 <= wanted <= 1:
        raise ArgumentError("wanted", f"must be in [0, 1], got {wanted:g}")
    allowed = math.floor(wanted * len(scores) + _ROUNDING)
    if allowed >= len(scores):
        return allowed, -math.inf
    place = len(scores) - 1 - allowed
    return allowed, float(np.partition(scores, place)[place])


def choose_threshold(
    top_scores: np.ndarray,
    identities: np.ndarray | None = None,
    *,
    fpir: float = 0.1,
    confidence: float = 0.95,
    sure: bool = False,
) -> Threshold:
    """Choose a threshold from non-mated searches of held-out identities.

    The identities must not be in the test set, and the model must not have been trained on them: scores of training
    identities are too good.

    Args:
        top_scores: Score of the best candidate of each search (n,).
        identities: Identity of each search (n,), for the number of identities.
        fpir: Wanted false positive identification rate.
        confidence: Confidence of the interval, and of `sure`.
        sure: Choose the limit so that the rate is at most `fpir` with this confidence (one-sided Clopper-Pearson
            bound), instead of its estimate.

    Raises:
        ArgumentError: If `fpir` or `confidence` is out of range.
        DataError: If there are no searches, a score is NaN, or too few searches for `sure`, with the number needed.

    Example:
        >>> threshold = choose_threshold(np.arange(100) / 100, fpir=0.1)
        >>> threshold.limit, threshold.realized
        (0.89, 0.1)
    """
    scores = np.asarray(top_scores, np.float64)
    if scores.ndim != 1 or len(scores) == 0:
        raise DataError("a threshold needs at least one non-mated search")
    if np.isnan(scores).any():
        raise DataError(f"top_scores: {int(np.isnan(scores).sum())} entries are NaN")
    if identities is not None and np.shape(identities) != scores.shape:
        raise DataError(f"identities must have one entry for each of the {len(scores)} searches")
    _check_confidence(confidence)
    if not 0 < fpir <= 1:
        raise ArgumentError("fpir", f"must be in (0, 1], got {fpir:g}")
    allowed, limit = limit_for(scores, fpir)
    if sure:
        allowed = sure_errors(len(scores), fpir, confidence)
        if allowed < 0:
            needed = searches_needed(fpir, confidence)
            raise DataError(
                f"{len(scores)} non-mated searches cannot justify a rate of {fpir:g} with {100 * confidence:g} %"
                f" confidence: {needed} are needed; set a larger rate, or hold out more identities"
            )
        place = len(scores) - 1 - allowed
        limit = -math.inf if place < 0 else float(np.partition(scores, place)[place])
    accepted = int((scores > limit).sum())
    people = 0 if identities is None else len(np.unique(identities))
    interval = clopper_pearson(accepted, len(scores), confidence)
    return Threshold(limit, fpir, allowed, accepted / len(scores), interval, len(scores), people)


def sure_errors(searches: int, fpir: float, confidence: float) -> int:
    """Largest number of errors whose one-sided upper Clopper-Pearson bound is at most `fpir`; -1: no number has it."""
    errors = np.arange(searches)
    bounds = betaincinv(errors + 1, searches - errors, confidence)  # increases with the errors
    return int(np.searchsorted(bounds, fpir, side="right")) - 1


def searches_needed(fpir: float, confidence: float = 0.95) -> int:
    """Number of searches without an error that justify a rate.

    Example:
        >>> searches_needed(0.05), searches_needed(0.01)
        (59, 299)
    """
    _check_confidence(confidence)
    if not 0 < fpir < 1:
        raise ArgumentError("fpir", f"must be in (0, 1), got {fpir:g}")
    return math.ceil(math.log(1 - confidence) / math.log(1 - fpir))


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ArgumentError("confidence", f"must be in (0, 1), got {confidence:g}")


def clopper_pearson(errors: int, number: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided Clopper-Pearson interval of a rate; too narrow if the trials are not independent.

    Args:
        errors: Number of errors.
        number: Number of trials.
        confidence: Confidence of the interval.

    Example:
        >>> [round(bound, 4) for bound in clopper_pearson(0, 31)]
        [0.0, 0.1122]
    """
    if not 0 <= errors <= number or number < 1:
        raise ArgumentError("errors", f"must be in 0 .. number and number at least 1, got {errors} of {number}")
    _check_confidence(confidence)
    tail = (1 - confidence) / 2
    low = 0.0 if errors == 0 else float(betaincinv(errors, number - errors + 1, tail))
    high = 1.0 if errors == number else float(betaincinv(errors + 1, number - errors, 1 - tail))
    return low, high


def bootstrap_identities(
    errors: np.ndarray, identities: np.ndarray, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of an error rate by a bootstrap over identities, whose searches are not independent.

    Args:
        errors: Whether each search is an error (n,).
        identities: Identity of each search (n,).
        confidence: Confidence of the interval.
        resamples: Number of resamples.
        seed: Random seed.

    Example:
        >>> errors, identities = np.array([1, 0, 0, 0, 1, 0]), np.array([1, 1, 2, 2, 3, 3])
        >>> bootstrap_identities(errors, identities, resamples=100)
        (0.0, 0.5)
    """
    if len(errors) == 0 or np.shape(errors) != np.shape(identities):
        raise DataError(
            f"an interval needs errors (n,) and identities (n,), got {np.shape(errors)} and {np.shape(identities)}"
        )
    _check_confidence(confidence)
    if resamples < 1:
        raise ArgumentError("resamples", f"must be at least 1, got {resamples}")
    _, person = np.unique(identities, return_inverse=True)
    wrong = np.bincount(person, weights=np.asarray(errors, np.float64))
    number = np.bincount(person)
    draws = np.random.default_rng(seed).integers(0, len(number), size=(resamples, len(number)))
    rates = wrong[draws].sum(axis=1) / number[draws].sum(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(rates, [tail, 1 - tail])
    return float(low), float(high)
