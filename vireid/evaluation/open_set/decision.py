"""Decision rule of a trained model: thresholds for wanted false positive rates, and a calibration of its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from vireid.core.errors import ArgumentError, DataError
from vireid.core.text import align_columns, listed
from vireid.evaluation.open_set.calibration import IsotonicCalibration, LogisticCalibration
from vireid.evaluation.open_set.heldout import HeldoutSearches
from vireid.evaluation.open_set.thresholds import bootstrap_identities, choose_threshold, clopper_pearson

Calibration = LogisticCalibration | IsotonicCalibration
CalibrationKind = Literal["logistic", "isotonic"]
BOOTSTRAP, EXACT = "bootstrap over identities", "Clopper-Pearson with the number of identities"
RESOLUTION = 3.0  # errors that people without any can hide, at 95 % confidence


@dataclass(frozen=True)
class Rate:
    """An error rate with its confidence interval.

    Args:
        mean: The rate; its mean over the trials if there are several.
        interval: Confidence interval.
        kind: How the interval was computed.
        spread: Sample standard deviation over the trials; None for one trial.
    """

    mean: float
    interval: tuple[float, float]
    kind: str
    spread: float | None = None

    @classmethod
    def of(cls, errors: np.ndarray, identities: np.ndarray, confidence: float) -> Rate:
        """The rate of one set of searches, with an interval over their identities.

        The bootstrap has no width if no search or every search is an error; then the interval is that of as many
        searches as identities.

        Example:
            >>> Rate.of(np.zeros(6, bool), np.array([1, 1, 2, 2, 3, 3]), 0.95).kind
            'Clopper-Pearson with the number of identities'
        """
        if np.all(errors) or not np.any(errors):
            people = len(np.unique(identities))
            interval = clopper_pearson(people if errors[0] else 0, people, confidence)
            return cls(float(errors[0]), interval, EXACT)
        return cls(float(np.mean(errors)), bootstrap_identities(errors, identities, confidence=confidence), BOOTSTRAP)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Rate:
        """Make a rate of the values of `dataclasses.asdict`."""
        low, high = map(float, values["interval"])
        spread = values["spread"]
        return cls(float(values["mean"]), (low, high), str(values["kind"]), None if spread is None else float(spread))


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold.

    Args:
        wanted: Wanted false positive identification rate (FPIR).
        limit: A score is accepted if it is larger.
        fpir: Realized rate on the searches that chose the limit.
        sure: Whether the rate is at most the wanted one with the confidence of the rule, instead of its estimate.
    """

    wanted: float
    limit: float
    fpir: Rate
    sure: bool = False


@dataclass(frozen=True)
class DecisionRule:
    """Thresholds and calibration of a model. The scores are similarities of two images.

    Args:
        points: One threshold for each wanted rate.
        calibration: Score -> probability of the same identity, for the share of such pairs among those of its fit.
        searches: Number of searches that chose the thresholds.
        identities: Number of their identities.
        enrolled: Number of identities in the gallery of each search. FPIR increases with it.
        fusion: Score of an identity: "max" or "mean" of its images.
        confidence: Confidence of the intervals.
        conditions: What the scores were computed from: data, checkpoint, protocol.
        fingerprint: Fingerprint of the model that the rule belongs to (`Embedder.fingerprint`); "" if not stated.
        uncalibrated: Why there is no calibration although one was requested; "" otherwise.
    """

    points: tuple[OperatingPoint, ...]
    calibration: Calibration | None
    searches: int
    identities: int
    enrolled: int
    fusion: str = "max"
    confidence: float = 0.95
    conditions: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    uncalibrated: str = ""

    @classmethod
    def choose(
        cls,
        heldout: HeldoutSearches,
        *,
        fpir: Sequence[float] = (0.1,),
        confidence: float = 0.95,
        sure: bool = False,
        calibration: CalibrationKind | None = "logistic",
        fusion: str = "max",
        conditions: Mapping[str, str] | None = None,
    ) -> DecisionRule:
        """Choose thresholds and fit a calibration on held-out searches.

        Args:
            heldout: The searches; their identities are neither trained on nor in a test set.
            fpir: Wanted false positive identification rates in (0, 1).
            confidence: Confidence of the intervals and of `sure`.
            sure: Choose limits whose rate is at most the wanted one with this confidence.
            calibration: "logistic", "isotonic", or None. Scores that cannot be calibrated leave the rule without one.
            fusion: Fusion of `heldout`.
            conditions: What the scores were computed from.

        Raises:
            ArgumentError: If a rate is out of range.
            DataError: If there are too few searches for `sure`.
        """
        checked_rates("fpir", fpir)
        points = []
        for wanted in sorted(set(fpir), reverse=True):
            threshold = choose_threshold(
                heldout.top_scores, heldout.identities, fpir=wanted, confidence=confidence, sure=sure
            )
            realized = Rate.of(heldout.top_scores > threshold.limit, heldout.identities, confidence)
            points.append(OperatingPoint(wanted, threshold.limit, realized, sure))
        fitted, fault = _fitted(heldout, calibration)
        return cls(
            points=tuple(points),
            calibration=fitted,
            uncalibrated=fault,
            searches=len(heldout.top_scores),
            identities=len(np.unique(heldout.identities)),
            enrolled=heldout.enrolled,
            fusion=fusion,
            confidence=confidence,
            conditions=dict(conditions or {}),
        )

    def point(self, fpir: float | None = None) -> OperatingPoint:
        """The threshold of a wanted rate; None: that of the smallest rate.

        Raises:
            ArgumentError: If the rule has no threshold for this rate, with the rates that it has.
        """
        if fpir is None:
            return min(self.points, key=lambda point: point.wanted)
        for point in self.points:
            if abs(point.wanted - fpir) < 1e-9:
                return point
        rates = listed([f"{point.wanted:g}" for point in self.points])
        raise ArgumentError("fpir", f"= {fpir:g} has no threshold; this model has those of {rates}")

    def accepts(self, scores: np.ndarray, fpir: float | None = None) -> np.ndarray:
        """Whether each score is above the threshold of a wanted rate; see `point`."""
        return np.asarray(scores) > self.point(fpir).limit

    def probability(self, scores: np.ndarray) -> np.ndarray | None:
        """Probability of the same identity of each score; None without a calibration."""
        return None if self.calibration is None else self.calibration(scores)

    def notes(self) -> list[str]:
        """Warnings: rates that are too small for the number of held-out identities; a missing calibration."""
        least = RESOLUTION / self.identities
        missing = [f"no calibration: {self.uncalibrated}"] if self.uncalibrated else []
        return missing + [
            f"an FPIR of {100 * point.wanted:g} % cannot be claimed with {self.identities} held-out identities: without"
            f" any error the rate may be {100 * least:.2g} % (3 / identities)"
            for point in self.points
            if point.wanted < least - 1e-9
        ]

    def lines(self) -> list[str]:
        """Format the rule as text: a table of thresholds, and what they were chosen on."""
        table = [["FPIR wanted", "threshold", f"FPIR of these searches [{100 * self.confidence:g} % interval]"]]
        for point in self.points:
            low, high = point.fpir.interval
            rate = f"{100 * point.fpir.mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
            table.append([f"{100 * point.wanted:g}", f"{point.limit:.4f}", rate])
        lines = [*align_columns(table), f"percent; intervals: {BOOTSTRAP}; {EXACT} for 0 and 100"]
        if any(point.sure for point in self.points):
            lines.append(f"with {100 * self.confidence:g} % confidence the FPIR is at most the wanted one")
        lines.append(
            f"{self.searches} searches by {self.identities} identities, each in a gallery of {self.enrolled} others;"
            " FPIR increases with the number of persons in the gallery"
        )
        if self.calibration is not None:
            kind = "logistic" if isinstance(self.calibration, LogisticCalibration) else "isotonic"
            mated, others = self.calibration.mated, self.calibration.non_mated
            lines.append(f"calibration: {kind}, from {mated} pairs of images of one identity and {others} of two")
        return [*lines, *(f"note: {note}" for note in self.notes())]

    def of_model(self, fingerprint: str) -> DecisionRule:
        """The same rule with the fingerprint of its model."""
        return replace(self, fingerprint=fingerprint)

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes an equal rule."""
        calibration = None if self.calibration is None else self.calibration.to_json()
        points = []
        for point in self.points:
            rate = {**vars(point.fpir), "interval": [*point.fpir.interval]}
            points.append({**vars(point), "fpir": rate})
        return {**vars(self), "points": points, "calibration": calibration, "conditions": dict(self.conditions)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DecisionRule:
        """Make a rule of the values of `to_json`.

        Raises:
            DataError: If a value is missing or of another type.
        """
        try:
            points = tuple(
                OperatingPoint(
                    float(point["wanted"]), float(point["limit"]), Rate.from_json(point["fpir"]), bool(point["sure"])
                )
                for point in values["points"]
            )
            numbers = {name: int(values[name]) for name in ("searches", "identities", "enrolled")}
            return cls(
                points=points,
                calibration=calibration_from_json(values["calibration"]),
                **numbers,
                fusion=str(values["fusion"]),
                confidence=float(values["confidence"]),
                conditions={str(name): str(value) for name, value in values["conditions"].items()},
                fingerprint=str(values["fingerprint"]),
                uncalibrated=str(values["uncalibrated"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            words = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise DataError(f"not the decision rule of a model: {words}") from error


def checked_rates(name: str, rates: Sequence[float]) -> None:
    """Require error rates in (0, 1)."""
    if not rates or any(not 0 < rate < 1 for rate in rates):
        raise ArgumentError(name, f"must be one or more rates in (0, 1), got {list(rates)}")


def calibration_from_json(values: Mapping[str, Any] | None) -> Calibration | None:
    """Make a calibration of the values of its `to_json`; None of None."""
    if values is None:
        return None
    kinds: dict[Any, type[Calibration]] = {"logistic": LogisticCalibration, "isotonic": IsotonicCalibration}
    if values.get("kind") not in kinds:
        raise DataError(f"a calibration is logistic or isotonic, got {values.get('kind')!r}")
    return kinds[values["kind"]].from_json(values)


def _fitted(heldout: HeldoutSearches, kind: CalibrationKind | None) -> tuple[Calibration | None, str]:
    """The calibration, or why it could not be fitted."""
    if kind is None:
        return None, ""
    if kind not in ("logistic", "isotonic"):
        raise ArgumentError("calibration", f"must be 'logistic', 'isotonic' or None, got {kind!r}")
    fit = LogisticCalibration.fit if kind == "logistic" else IsotonicCalibration.fit
    try:
        return fit(heldout.scores, heldout.same), ""
    except DataError as error:
        return None, str(error)
