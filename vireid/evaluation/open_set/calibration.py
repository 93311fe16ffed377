"""Calibration: from a similarity score to the probability that two images show the same person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vireid.core.errors import ArgumentError, DataError

Method = Literal["platt", "ml", "prior_weighted"]
_STEPS = 200  # of Newton's method, which needs about ten
_SMALL = 1e-12  # size of the last step


def _examples(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels).astype(bool)
    if scores.ndim != 1 or scores.shape != labels.shape or not np.isfinite(scores).all():
        raise DataError(f"calibration needs finite scores (n,) and labels (n,), got {scores.shape} and {labels.shape}")
    if labels.all() or not labels.any():
        raise DataError("calibration needs examples of the same identity and of different identities")
    if scores.min() == scores.max():
        raise DataError(f"all {len(scores)} scores are {scores[0]:g}: a calibration needs different scores")
    return scores, labels


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -values))


@dataclass(frozen=True)
class LogisticCalibration:
    """Logistic calibration p = sigmoid(slope score + offset).

    Args:
        slope: Slope, positive.
        offset: Offset.
        mated: Number of examples of the same identity.
        non_mated: Number of examples of different identities.
        method: How it was fitted.
        prior: Prior of the same identity that the fit assumes; None: the share of the examples.
    """

    slope: float
    offset: float
    mated: int
    non_mated: int
    method: Method = "platt"
    prior: float | None = None

    @classmethod
    def fit(
        cls, scores: np.ndarray, labels: np.ndarray, *, method: Method = "platt", prior: float = 0.5
    ) -> LogisticCalibration:
        """Fit by Newton's method.

        Args:
            scores: Similarities (n,).
            labels: Whether each is of the same identity (n,).
            method: "platt": smoothed targets, finite even for separable scores; "ml": maximum likelihood;
                "prior_weighted": maximum likelihood with the two classes weighted by `prior`.
            prior: Prior of the same identity, for "prior_weighted".

        Raises:
            DataError: If the examples are of one kind only, separable ("ml"), or if larger scores are less similar.

        Source:
            Platt, "Probabilistic Outputs for Support Vector Machines", 1999.

        Example:
            >>> scores, labels = np.array([0.1, 0.2, 0.6, 0.4, 0.8, 0.9]), np.array([0, 0, 0, 1, 1, 1])
            >>> calibration = LogisticCalibration.fit(scores, labels)
            >>> bool(calibration.slope > 0), calibration(np.array([0.2, 0.8])).round(2).tolist()
            (True, [0.29, 0.71])
        """
        scores, labels = _examples(scores, labels)
        mated, non_mated = int(labels.sum()), int((~labels).sum())
        targets, weights = labels.astype(np.float64), np.ones(len(labels))
        if method == "platt":
            targets = np.where(labels, (mated + 1) / (mated + 2), 1 / (non_mated + 2))
        elif method == "prior_weighted":
            if not 0 < prior < 1:
                raise ArgumentError("prior", f"must be in (0, 1), got {prior:g}")
            weights = np.where(labels, prior / mated, (1 - prior) / non_mated)
        elif method != "ml":
            raise ArgumentError("method", f"must be 'platt', 'ml' or 'prior_weighted', got {method!r}")
        same, other = scores[labels], scores[~labels]
        if method != "platt" and (same.min() >= other.max() or same.max() <= other.min()):
            raise DataError("the scores are separable, so that maximum likelihood diverges; use method 'platt'")
        mean, scale = scores.mean(), scores.std()
        slope, offset = _newton((scores - mean) / scale, targets, weights)
        slope, offset = slope / scale, offset - slope * mean / scale
        if slope <= 0:
            raise DataError(f"the fitted slope is {slope:g}: larger scores are not more similar")
        return cls(float(slope), float(offset), mated, non_mated, method, prior if method == "prior_weighted" else None)

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities of the same identity, for the prior of the examples."""
        return _sigmoid(self.slope * np.asarray(scores, np.float64) + self.offset)

    def log_likelihood_ratio(self, scores: np.ndarray) -> np.ndarray:
        """Natural logarithm of the likelihood ratio of the same identity; independent of the prior."""
        prior = self.mated / (self.mated + self.non_mated) if self.prior is None else self.prior
        return self.slope * np.asarray(scores, np.float64) + self.offset - np.log(prior / (1 - prior))

    def posterior(self, scores: np.ndarray, prior: float) -> np.ndarray:
        """Probabilities of the same identity for another prior."""
        if not 0 < prior < 1:
            raise ArgumentError("prior", f"must be in (0, 1), got {prior:g}")
        return _sigmoid(self.log_likelihood_ratio(scores) + np.log(prior / (1 - prior)))

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes an equal calibration."""
        return {"kind": "logistic", **vars(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> LogisticCalibration:
        """Make a calibration of the values of `to_json`. Raises DataError for those of another kind."""
        _require_kind(values, "logistic")
        if values["slope"] <= 0:
            raise DataError(f"a calibration has a positive slope, got {values['slope']:g}")
        return cls(**{name: value for name, value in values.items() if name != "kind"})


def _newton(scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Minimize the weighted cross-entropy of sigmoid(a s + b) for standardized scores; steps uphill are halved."""
    design = np.stack([scores, np.ones_like(scores)], axis=1)

    def loss(parameters: np.ndarray) -> float:
        values = design @ parameters
        return float((weights * (np.logaddexp(0, values) - targets * values)).sum())

    parameters = np.zeros(2)
    for _ in range(_STEPS):
        p = _sigmoid(design @ parameters)
        gradient = design.T @ (weights * (p - targets))
        hessian = design.T @ (design * (weights * p * (1 - p))[:, None])
        step = np.linalg.solve(hessian, gradient)
        size, start = 1.0, loss(parameters)
        while loss(parameters - size * step) > start + 1e-15 * abs(start) and size > 1e-8:
            size /= 2
        parameters = parameters - size * step
        if np.abs(step).max() < _SMALL * max(1.0, np.abs(parameters).max()):
            return float(parameters[0]), float(parameters[1])
    raise DataError("the logistic calibration does not converge on these scores; use method 'platt'")


def _require_kind(values: Mapping[str, Any], kind: str) -> None:
    if values.get("kind") != kind:
        raise DataError(f"not a {kind} calibration (kind: {values.get('kind')!r})")


@dataclass(frozen=True)
class IsotonicCalibration:
    """Monotone calibration, piecewise linear between knots and constant outside. It needs hundreds of mated examples.

    Args:
        scores: Scores of the knots, ascending.
        probabilities: Probabilities of the knots, ascending.
        mated: Number of examples of the same identity.
        non_mated: Number of examples of different identities.
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    mated: int
    non_mated: int

    @classmethod
    def fit(cls, scores: np.ndarray, labels: np.ndarray) -> IsotonicCalibration:
        """Fit by pool adjacent violators (scikit-learn); equal scores are one example with their mean.

        Args:
            scores: Similarities (n,).
            labels: Whether each is of the same identity (n,).

        Raises:
            DataError: If the examples are of one kind only.

        Example:
            >>> calibration = IsotonicCalibration.fit(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 1, 0, 1]))
            >>> calibration(np.array([0.0, 0.25, 0.9])).tolist()
            [0.0, 0.5, 1.0]
        """
        from sklearn.isotonic import IsotonicRegression

        scores, labels = _examples(scores, labels)
        fitted = IsotonicRegression(out_of_bounds="clip").fit(scores, labels.astype(np.float64))
        knots, values = fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist()
        return cls(tuple(knots), tuple(values), int(labels.sum()), int((~labels).sum()))

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities of the same identity, for the prior of the examples."""
        return np.interp(np.asarray(scores, np.float64), self.scores, self.probabilities)

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes an equal calibration."""
        return {"kind": "isotonic", **vars(self), "scores": [*self.scores], "probabilities": [*self.probabilities]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> IsotonicCalibration:
        """Make a calibration of the values of `to_json`. Raises DataError for those of another kind."""
        _require_kind(values, "isotonic")
        knots = {name: tuple(values[name]) for name in ("scores", "probabilities")}
        return cls(**knots, mated=values["mated"], non_mated=values["non_mated"])


def cllr(llr: np.ndarray, labels: np.ndarray) -> float:
    """Cost of log-likelihood ratios in bits: 0 for perfect ones, 1 without information.

    Example:
        >>> cllr(np.zeros(4), np.array([0, 1, 0, 1]))
        1.0
    """
    labels = np.asarray(labels).astype(bool)
    mated, non_mated = np.logaddexp(0, -llr[labels]), np.logaddexp(0, llr[~labels])
    return float((mated.mean() + non_mated.mean()) / 2 / np.log(2))


@dataclass(frozen=True)
class Reliability:
    """Agreement of probabilities with observed shares, in bins.

    Args:
        count: Number of examples in each bin (M,).
        confidence: Mean probability in each bin; 0 if it is empty (M,).
        accuracy: Share of the same identity in each bin; 0 if it is empty (M,).
        ece: Expected calibration error: mean difference, weighted by the counts.
        mce: Largest difference.
        brier: Mean squared error of the probabilities.
        nll: Negative log-likelihood in nats; infinite for a certain probability that is wrong.
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    ece: float
    mce: float
    brier: float
    nll: float


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 15, binning: Literal["width", "mass"] = "width"
) -> Reliability:
    """Compute the reliability of probabilities. ECE is biased upwards for few examples.

    Args:
        probabilities: Probabilities (n,).
        labels: Whether each example is of the same identity (n,).
        bins: Number M of bins.
        binning: "width": bins [i / M, (i + 1) / M); "mass": bins with equal numbers of examples.

    Raises:
        ArgumentError: If `bins` or `binning` is out of range.
        DataError: If there are no examples or a probability is not in [0, 1].

    Example:
        >>> result = reliability(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1]), bins=2)
        >>> result.count.tolist(), round(result.ece, 4), round(result.brier, 4)
        ([2, 2], 0.15, 0.025)
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels, np.float64)
    if bins < 1:
        raise ArgumentError("bins", f"must be at least 1, got {bins}")
    if p.ndim != 1 or p.shape != y.shape or len(p) == 0 or not ((p >= 0) & (p <= 1)).all():
        raise DataError(f"reliability needs probabilities (n,) in [0, 1] and labels (n,), got {p.shape} and {y.shape}")
    if not np.isin(y, (0, 1)).all():
        raise DataError("labels must be 0 or 1")
    if binning == "width":
        place = np.minimum((p * bins).astype(np.int64), bins - 1)
    elif binning == "mass":
        sizes = np.full(bins, len(p) // bins) + (np.arange(bins) < len(p) % bins)
        place = np.empty(len(p), np.int64)
        place[np.argsort(p, kind="stable")] = np.repeat(np.arange(bins), sizes)
    else:
        raise ArgumentError("binning", f"must be 'width' or 'mass', got {binning!r}")
    count = np.bincount(place, minlength=bins)
    some = np.maximum(count, 1)
    confidence = np.bincount(place, weights=p, minlength=bins) / some
    accuracy = np.bincount(place, weights=y, minlength=bins) / some
    gap = np.abs(confidence - accuracy)
    with np.errstate(divide="ignore"):
        nll = float(-np.log(np.where(y > 0.5, p, 1 - p)).mean())
    ece, mce = float((count * gap).sum() / len(p)), float(gap[count > 0].max())
    return Reliability(count, confidence, accuracy, ece, mce, float(((p - y) ** 2).mean()), nll)
