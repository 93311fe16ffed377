"""Open-set evaluation of a protocol: a part of the gallery's identities is enrolled, all queries search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any, ClassVar, Literal

import numpy as np

from vireid.core.errors import ArgumentError, DataError
from vireid.core.registries import OPEN_SETS
from vireid.core.types import EmbeddingTable, Trial
from vireid.evaluation.open_set.calibration import LogisticCalibration, cllr, reliability
from vireid.evaluation.open_set.candidates import Fusion, enrolled_in_trial
from vireid.evaluation.open_set.decision import Calibration, CalibrationKind, DecisionRule, Rate, checked_rates
from vireid.evaluation.open_set.heldout import HeldoutSearches
from vireid.evaluation.open_set.identification import Searches as SearchResults
from vireid.evaluation.open_set.identification import misidentified, missed, rates_of, search
from vireid.evaluation.open_set.report import (
    HELDOUT,
    ORACLE,
    CalibrationQuality,
    OpenSetRates,
    OpenSetReport,
    Searches,
    Verification,
    thinned,
)
from vireid.evaluation.open_set.thresholds import limit_for, searches_needed
from vireid.evaluation.open_set.verification import evaluate_verification

Scores = Callable[[Trial], np.ndarray]


@dataclass(frozen=True)
class _Enrollment:
    """One trial: all queries against the gallery images of the enrolled identities."""

    results: SearchResults
    query_ids: np.ndarray
    gallery_images: int
    enrolled: int


@OPEN_SETS.register
class OpenSet:
    """Open-set evaluation: who is it, and is the person enrolled at all?

    Trial t enrolls a part of the identities of the gallery of the protocol's trial t (modulo their number). Every query
    searches once. Its score for an identity is that of the fused gallery images that the protocol does not ignore.

    Args:
        enrolled: Share of the gallery's identities that is enrolled.
        trials: Number of enrollments; at most the number of the protocol's trials are different galleries.
        fpir: Wanted false positive identification rates (FPIR).
        ranks: Ranks R of the false negative identification rate (FNIR): a mated search is correct if its identity is
            among the first R and above the threshold.
        fusion: Score of an identity: "max" or "mean" of its images.
        threshold: "heldout": chosen on identities of the training split that are not trained on; "oracle": chosen on
            the test searches of each trial, too good for a comparison with a system in use.
        calibration: Calibration of scores of two images on held-out identities: "logistic", "isotonic" or null.
        confidence: Confidence of the intervals, which are over identities.
        sure: Choose held-out thresholds whose FPIR is at most the wanted one with this confidence.
        seed: Random seed of the enrollments.

    Raises:
        ArgumentError: If a value is out of range.

    Source:
        Rates of ISO/IEC 19795-1 and NIST FRVT part 2.
    """

    example: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        *,
        enrolled: float = 0.5,
        trials: int = 10,
        fpir: tuple[float, ...] = (0.1,),
        ranks: tuple[int, ...] = (1,),
        fusion: Fusion = "max",
        threshold: Literal["heldout", "oracle"] = "heldout",
        calibration: CalibrationKind | None = "logistic",
        confidence: float = 0.95,
        sure: bool = False,
        seed: int = 0,
    ) -> None:
        if not 0 < enrolled < 1:
            raise ArgumentError("enrolled", f"must be in (0, 1), got {enrolled:g}")
        if trials < 1:
            raise ArgumentError("trials", f"must be at least 1, got {trials}")
        checked_rates("fpir", fpir)
        if not ranks or min(ranks) < 1:
            raise ArgumentError("ranks", f"must be numbers of at least 1, got {list(ranks)}")
        if not 0 < confidence < 1:
            raise ArgumentError("confidence", f"must be in (0, 1), got {confidence:g}")
        for name, value, known in (("threshold", threshold, (HELDOUT, ORACLE)), ("fusion", fusion, ("max", "mean"))):
            if value not in known:
                raise ArgumentError(name, f"must be one of {known}, got {value!r}")
        if sure and threshold == ORACLE:
            raise ArgumentError("sure", "is for thresholds of held-out identities; set threshold to 'heldout'")
        self.enrolled, self.trials, self.fpir, self.ranks = enrolled, trials, tuple(fpir), tuple(ranks)
        self.fusion: Fusion = fusion
        self.calibration: CalibrationKind | None = calibration
        self.threshold, self.confidence = threshold, confidence
        self.sure, self.seed = sure, seed

    @property
    def needs_heldout(self) -> bool:
        """Whether embeddings of held-out identities are needed."""
        return self.threshold == HELDOUT

    def __call__(
        self,
        trials: Sequence[Trial],
        scores: Scores,
        table: EmbeddingTable,
        heldout: HeldoutSearches | None = None,
    ) -> OpenSetReport:
        """Evaluate the trials of a protocol.

        Args:
            trials: The trials.
            scores: Trial -> similarities (Q, G).
            table: Embeddings of the test images.
            heldout: Searches by held-out identities, if `needs_heldout`.

        Raises:
            DataError: If there are no mated or no non-mated searches, or a score is not finite.
        """
        if (heldout is None) == self.needs_heldout:
            raise ArgumentError("heldout", f"must be given with threshold 'heldout' only, got {self.threshold!r}")
        self.validate(trials, table.labels)
        rule = None if heldout is None else self._rule(heldout)
        enrollments = list(self._enrollments(trials, scores, table))
        first = trials[0]
        pairs = scores(first)
        labels = table.labels[first.query], table.labels[first.gallery]
        junk = first.junk(first.query, first.gallery)
        verification = evaluate_verification(pairs, *labels, junk)
        fmr, fnmr = thinned(verification.fmr, verification.fnmr)
        curve = rates_of(enrollments[0].results)
        fpir, fnir = thinned(curve.fpir, curve.fnir[0])
        return OpenSetReport(
            threshold=self.threshold,
            enrolled=enrollments[0].enrolled,
            identities=len(np.unique(labels[1])),
            gallery_images=float(np.mean([one.gallery_images for one in enrollments])),
            trials=len(enrollments),
            fusion=self.fusion,
            confidence=self.confidence,
            searches=_counts(enrollments),
            rates=tuple(self._rates(enrollments, wanted, rule) for wanted in sorted(set(self.fpir), reverse=True)),
            verification=Verification(verification.eer, verification.auc, verification.mated, verification.non_mated),
            rule=rule,
            calibration=None if rule is None else _quality(rule.calibration, pairs, labels, junk),
            curves={"fmr": fmr, "fnmr": fnmr, "fpir": fpir, "fnir": fnir},
        )

    def enrolled_of(self, identities: int) -> int:
        """Number of identities that are enrolled of those of a gallery."""
        return round(self.enrolled * identities)

    def validate(self, trials: Iterable[Trial], labels: np.ndarray) -> None:
        """Require that every trial has enrolled and other identities; needs no embeddings.

        Args:
            trials: The trials of the protocol.
            labels: Identities (N,) of the table.

        Raises:
            DataError: If the share enrolls none or all identities of a gallery.
        """
        for trial in trials:
            people = len(np.unique(labels[trial.gallery]))
            if not 0 < self.enrolled_of(people) < people:
                raise DataError(
                    f"OPEN_SET.ENROLLED = {self.enrolled:g} enrolls {self.enrolled_of(people)} of {people} identities;"
                    " open-set identification needs enrolled and other identities"
                )

    def require_searches(self, searches: int) -> None:
        """Require as many held-out searches as `sure` thresholds need.

        Raises:
            DataError: If there are fewer, with the number needed.
        """
        needed = searches_needed(min(self.fpir), self.confidence)
        if self.sure and searches < needed:
            raise DataError(
                f"OPEN_SET.SURE: an FPIR of {min(self.fpir):g} needs {needed} searches by held-out identities, and"
                f" there are {searches}; increase HELDOUT_IDENTITIES or FPIR"
            )

    def _rule(self, heldout: HeldoutSearches) -> DecisionRule:
        return DecisionRule.choose(
            heldout,
            fpir=self.fpir,
            confidence=self.confidence,
            sure=self.sure,
            calibration=self.calibration,
            fusion=self.fusion,
        )

    def _enrollments(self, trials: Sequence[Trial], scores: Scores, table: EmbeddingTable) -> Iterable[_Enrollment]:
        for number, trial in enumerate(islice(cycle(trials), self.trials)):
            query_ids, gallery_ids = table.labels[trial.query], table.labels[trial.gallery]
            people = np.unique(gallery_ids)
            enrolled = people[enrolled_in_trial(len(people), number, share=self.enrolled, seed=self.seed)]
            columns = np.flatnonzero(np.isin(gallery_ids, enrolled))
            found = search(
                scores(trial)[:, columns],
                query_ids,
                gallery_ids[columns],
                trial.junk(trial.query, trial.gallery[columns]),
                fusion=self.fusion,
            )
            for name, present in (("mated", found.mated), ("non-mated", found.non_mated)):
                if not present.any():
                    raise DataError(f"trial {number} has no {name} search; change ENROLLED or use more queries")
            yield _Enrollment(found, query_ids, len(columns), len(enrolled))

    def _rates(self, enrollments: Sequence[_Enrollment], wanted: float, rule: DecisionRule | None) -> OpenSetRates:
        if rule is None:
            limits = [limit_for(one.results.top_score[one.results.non_mated], wanted)[1] for one in enrollments]
        else:
            limits = [rule.point(wanted).limit] * len(enrollments)
        pairs = [(one.results, limit) for one, limit in zip(enrollments, limits)]
        non_mated = [one.query_ids[one.results.non_mated] for one in enrollments]
        mated = [one.query_ids[one.results.mated] for one in enrollments]
        alarms = [found.top_score[found.non_mated] > limit for found, limit in pairs]
        fnir = {rank: self._rate([missed(found, limit, rank) for found, limit in pairs], mated) for rank in self.ranks}
        wrong = float(np.mean([misidentified(found, limit).mean() for found, limit in pairs]))
        return OpenSetRates(wanted, tuple(dict.fromkeys(limits)), self._rate(alarms, non_mated), fnir, wrong)

    def _rate(self, errors: Sequence[np.ndarray], identities: Sequence[np.ndarray]) -> Rate:
        """Mean and spread over the trials, with an interval over the identities of all trials together."""
        rates = [float(one.mean()) for one in errors]
        pooled = Rate.of(np.concatenate(errors), np.concatenate(identities), self.confidence)
        spread = float(np.std(rates, ddof=1)) if len(rates) > 1 else None
        return replace(pooled, mean=float(np.mean(rates)), spread=spread)


def _counts(enrollments: Sequence[_Enrollment]) -> Searches:
    def people(of: Callable[[SearchResults], np.ndarray]) -> float:
        return float(np.mean([len(np.unique(one.query_ids[of(one.results)])) for one in enrollments]))

    def number(of: Callable[[SearchResults], np.ndarray]) -> float:
        return float(np.mean([of(one.results).sum() for one in enrollments]))

    return Searches(
        mated=number(lambda found: found.mated),
        non_mated=number(lambda found: found.non_mated),
        not_counted=number(lambda found: ~(found.mated | found.non_mated)),
        mated_identities=people(lambda found: found.mated),
        non_mated_identities=people(lambda found: found.non_mated),
    )


def _quality(
    calibration: Calibration | None, scores: np.ndarray, labels: tuple[np.ndarray, np.ndarray], junk: np.ndarray
) -> CalibrationQuality | None:
    if calibration is None:
        return None
    counted = ~junk
    values, same = scores[counted].astype(np.float64), (labels[0][:, None] == labels[1])[counted]
    p = calibration(values)
    width, mass = reliability(p, same), reliability(p, same, binning="mass")
    ratio = calibration.log_likelihood_ratio(values) if isinstance(calibration, LogisticCalibration) else None
    return CalibrationQuality(
        ece=width.ece,
        ece_mass=mass.ece,
        brier=width.brier,
        cllr=None if ratio is None else cllr(ratio, same),
        confidence=tuple(width.confidence.tolist()),
        accuracy=tuple(width.accuracy.tolist()),
        count=tuple(width.count.tolist()),
    )
