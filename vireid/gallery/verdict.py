"""Verdict of a search: which images are above the threshold of the model, and with which probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vireid.core.errors import UserError
from vireid.evaluation.open_set.decision import DecisionRule, OperatingPoint

NO_MATCH = "No image is above the threshold."


@dataclass(frozen=True)
class Verdict:
    """Threshold and calibration of a search.

    Args:
        rule: The decision rule of the model.
        point: Its threshold.
    """

    rule: DecisionRule
    point: OperatingPoint

    def of(self, score: float) -> dict[str, Any]:
        """`match`, and `probability` if the rule has a calibration."""
        judged: dict[str, Any] = {"match": bool(score > self.point.limit)}
        probability = self.rule.probability(np.array([score]))
        if probability is not None:
            judged["probability"] = round(float(probability[0]), 4)
        return judged

    def summary(self, queries: Sequence[dict[str, Any]]) -> str:
        """Count the queries without a match, and state what the threshold was chosen on."""
        without = [one["query"] for one in queries if not any(answer["match"] for answer in one["answers"])]
        rate = f"{100 * self.point.wanted:g} %"
        text = f"{self.point.limit:.4f} for FPIR {rate} in galleries of {self.rule.enrolled} persons"
        if self.rule.calibration is not None:
            mated, others = self.rule.calibration.mated, self.rule.calibration.non_mated
            text += f"; probabilities are for {100 * mated / (mated + others):.2g} % of pairs of one person"
        if not without:
            return f"{text}; every query has a match"
        if len(without) == 1:
            return f"{text}; no match above the threshold of FPIR {rate}: {without[0]}"
        return f"{text}; no match above the threshold of FPIR {rate} for {len(without)} of {len(queries)} queries"


def verdict_of(rule: DecisionRule | None, fpir: float | None) -> Verdict | None:
    """The verdict of a model; None without a rule.

    Args:
        rule: Decision rule of the model; None if it has none.
        fpir: Wanted rate; None: the smallest of the rule.

    Raises:
        UserError: If a rate is wanted and the rule has no threshold of it.
    """
    if rule is None:
        if fpir is not None:
            raise UserError(
                f"--fpir {fpir:g}: the model has no thresholds for these weights; choose them with `vireid threshold`"
            )
        return None
    return Verdict(rule, rule.point(fpir))
