"""Results of verification and open-set identification of one protocol: plain values, JSON and text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vireid.core.text import align_columns, counted
from vireid.evaluation.open_set.decision import BOOTSTRAP, EXACT, DecisionRule, Rate

CURVE_POINTS = 200  # most points of a stored curve
HELDOUT, ORACLE = "heldout", "oracle"
ORACLE_THRESHOLD = "oracle (chosen on the test searches)"


@dataclass(frozen=True)
class Searches:
    """Searches of one trial, by role, means over the trials.

    Args:
        mated: Searches by enrolled identities.
        non_mated: Searches by identities that are not enrolled.
        not_counted: Searches without a counted image, or of an identity that is enrolled with ignored images only.
        mated_identities: Identities of the mated searches.
        non_mated_identities: Identities of the non-mated searches.
    """

    mated: float
    non_mated: float
    not_counted: float
    mated_identities: float
    non_mated_identities: float


@dataclass(frozen=True)
class OpenSetRates:
    """Rates at one wanted false positive identification rate.

    Args:
        wanted: Wanted FPIR.
        limits: Limit of each trial; one limit if it was chosen on held-out identities.
        fpir: False positive identification rate on the test searches.
        fnir: False negative identification rate by rank.
        misidentified: Share of mated searches that report another identity first; a part of FNIR at rank 1.
    """

    wanted: float
    limits: tuple[float, ...]
    fpir: Rate
    fnir: Mapping[int, Rate]
    misidentified: float


@dataclass(frozen=True)
class Verification:
    """Comparisons of a query with each gallery image of the first trial, all identities enrolled.

    Args:
        eer: Equal error rate.
        auc: Area under the ROC curve.
        mated: Number of comparisons of the same identity.
        non_mated: Number of comparisons of different identities.
    """

    eer: float
    auc: float
    mated: int
    non_mated: int


@dataclass(frozen=True)
class CalibrationQuality:
    """Agreement of calibrated probabilities with the comparisons of the first trial.

    Args:
        ece: Expected calibration error with bins of equal width.
        ece_mass: The same with bins of equal numbers of comparisons.
        brier: Mean squared error.
        cllr: Cost of the log-likelihood ratios in bits; None for an isotonic calibration.
        confidence: Mean probability of each bin of equal width.
        accuracy: Share of the same identity in each bin.
        count: Number of comparisons in each bin.
    """

    ece: float
    ece_mass: float
    brier: float
    cllr: float | None
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    count: tuple[int, ...]


@dataclass(frozen=True)
class OpenSetReport:
    """Results of verification and open-set identification.

    Args:
        threshold: "heldout" or "oracle".
        enrolled: Number N of enrolled identities.
        identities: Number of identities of the gallery before the enrollment.
        gallery_images: Images of a gallery, mean over the trials.
        trials: Number of trials, each with another enrollment.
        fusion: Score of an identity: "max" or "mean" of its images.
        confidence: Confidence of the intervals.
        searches: Searches of a trial.
        rates: Rates at each wanted FPIR.
        verification: Comparisons of two images.
        rule: Thresholds and calibration from held-out identities; None for oracle thresholds.
        calibration: Quality of the calibration on the test comparisons; None without one.
        curves: Of the first trial, at most `CURVE_POINTS` points each: "fmr" and "fnmr"; "fpir" and "fnir".
    """

    threshold: str
    enrolled: int
    identities: int
    gallery_images: float
    trials: int
    fusion: str
    confidence: float
    searches: Searches
    rates: tuple[OpenSetRates, ...]
    verification: Verification
    rule: DecisionRule | None
    calibration: CalibrationQuality | None
    curves: Mapping[str, tuple[float, ...]]

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes an equal report."""
        return {**asdict(self), "rule": None if self.rule is None else self.rule.to_json()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> OpenSetReport:
        """Return the report that `to_json` wrote.

        Raises:
            KeyError, ValueError, TypeError, AttributeError, DataError: For a value that is missing or of another form.
        """
        rates = tuple(
            OpenSetRates(
                float(one["wanted"]),
                tuple(map(float, one["limits"])),
                Rate.from_json(one["fpir"]),
                {int(rank): Rate.from_json(rate) for rank, rate in one["fnir"].items()},
                float(one["misidentified"]),
            )
            for one in stored["rates"]
        )
        quality, rule = stored["calibration"], stored["rule"]
        return cls(
            threshold=str(stored["threshold"]),
            enrolled=int(stored["enrolled"]),
            identities=int(stored["identities"]),
            gallery_images=float(stored["gallery_images"]),
            trials=int(stored["trials"]),
            fusion=str(stored["fusion"]),
            confidence=float(stored["confidence"]),
            searches=Searches(**stored["searches"]),
            rates=rates,
            verification=Verification(**stored["verification"]),
            rule=None if rule is None else DecisionRule.from_json(rule),
            calibration=None if quality is None else _quality(quality),
            curves={str(name): tuple(map(float, values)) for name, values in stored["curves"].items()},
        )

    def lines(self) -> list[str]:
        """Format the report as text: a table of rates in percent, and what they were measured on."""
        ranks = list(self.rates[0].fnir)
        table = [["FPIR wanted", "threshold", "FPIR", *(f"FNIR rank-{rank}" for rank in ranks), "misidentified"]]
        for one in self.rates:
            rates = [rate_text(one.fpir), *(rate_text(one.fnir[rank]) for rank in ranks)]
            table.append([f"{100 * one.wanted:g}", limits_text(one.limits), *rates, f"{100 * one.misidentified:.1f}"])
        return [*align_columns(table), *self.facts()]

    def facts(self) -> list[str]:
        """What the rates were measured on, one sentence in each line."""
        found = self.searches
        lines = [
            f"percent; {100 * self.confidence:g} % intervals in brackets ({BOOTSTRAP}; {EXACT} for 0 and 100)"
            + (f"; mean ± sample standard deviation over {self.trials} enrollments" if self.trials > 1 else ""),
            f"enrolled: {self.enrolled} of {self.identities} identities, {self.gallery_images:g} images; score of an"
            f" identity: {self.fusion} over its images; re-ranking none",
            f"searches: {found.mated:g} mated of {found.mated_identities:g} identities, {found.non_mated:g} non-mated"
            f" of {found.non_mated_identities:g}, {found.not_counted:g} not counted",
        ]
        if self.rule is None:
            lines.append(f"threshold: {ORACLE_THRESHOLD}")
        else:
            rule = self.rule
            lines.append(
                f"threshold: from {rule.searches} searches of {rule.identities} held-out identities with"
                f" {rule.enrolled} enrolled"
                + ("" if rule.enrolled == self.enrolled else f"; the rates are for {self.enrolled}, and FPIR increases")
                + ("" if rule.enrolled == self.enrolled else " with the number")
            )
            lines += [f"note: {note}" for note in rule.notes()]
        two = self.verification
        lines.append(
            f"verification: EER {100 * two.eer:.1f}, AUC {100 * two.auc:.1f}"
            f" ({two.mated} mated and {two.non_mated} non-mated comparisons)"
        )
        if self.calibration is not None:
            quality = self.calibration
            cost = "" if quality.cllr is None else f", Cllr {quality.cllr:.3f} bits"
            lines.append(
                f"calibration: ECE {100 * quality.ece:.2f} (bins of equal width), {100 * quality.ece_mass:.2f} (of"
                f" equal count), Brier score {quality.brier:.4f}{cost}"
            )
        return lines


def rate_text(rate: Rate) -> str:
    """Format a rate in percent.

    >>> rate_text(Rate(0.1, (0.05, 0.2), "", 0.02))
    '10.0 ± 2.0 [5.0, 20.0]'
    """
    low, high = rate.interval
    spread = "" if rate.spread is None else f" ± {100 * rate.spread:.1f}"
    return f"{100 * rate.mean:.1f}{spread} [{100 * low:.1f}, {100 * high:.1f}]"


def limits_text(limits: Sequence[float]) -> str:
    """Format a limit, or the range of the limits of several trials.

    >>> limits_text([0.5]), limits_text([0.5, 0.75, 0.625])
    ('0.5000', '0.5000 to 0.7500')
    """
    low, high = min(limits), max(limits)
    return f"{low:.4f}" if low == high else f"{low:.4f} to {high:.4f}"


def thinned(*curves: np.ndarray, points: int = CURVE_POINTS) -> list[tuple[float, ...]]:
    """Reduce curves of one length to points at equal distances along the rates, with the first and the last one.

    Args:
        curves: Arrays (T,) with the same thresholds, monotone.
        points: Most points.
    """
    length = np.sum([np.abs(np.diff(curve, prepend=curve[:1])) for curve in curves], axis=0).cumsum()
    places = np.searchsorted(length, np.linspace(0, length[-1], points)) if length[-1] > 0 else np.array([0])
    places = np.unique(np.append(places.clip(max=len(length) - 1), [0, len(length) - 1]))
    return [tuple(curve[places].tolist()) for curve in curves]


def headline(title: str, report: OpenSetReport) -> str:
    """The heading above the lines of a report."""
    return f"open-set identification{f' ({title})' if title else ''}, {counted(report.trials, 'trial')}"


def _quality(stored: Mapping[str, Any]) -> CalibrationQuality:
    lists = {name: tuple(stored[name]) for name in ("confidence", "accuracy", "count")}
    return CalibrationQuality(**{**stored, **lists})
