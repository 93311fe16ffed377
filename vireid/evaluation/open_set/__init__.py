"""Verification and open-set identification: rates, thresholds with confidence intervals, calibrated probabilities."""

from vireid.evaluation.open_set.calibration import IsotonicCalibration, LogisticCalibration, Reliability, reliability
from vireid.evaluation.open_set.candidates import enrolled_identities
from vireid.evaluation.open_set.decision import DecisionRule, OperatingPoint, Rate
from vireid.evaluation.open_set.evaluation import OpenSet
from vireid.evaluation.open_set.heldout import HeldoutSearches, heldout_searches
from vireid.evaluation.open_set.identification import OpenSetResult, evaluate_open_set
from vireid.evaluation.open_set.report import OpenSetReport
from vireid.evaluation.open_set.thresholds import (
    Threshold,
    bootstrap_identities,
    choose_threshold,
    clopper_pearson,
    searches_needed,
)
from vireid.evaluation.open_set.verification import VerificationResult, evaluate_verification

__all__ = [
    "DecisionRule",
    "HeldoutSearches",
    "IsotonicCalibration",
    "LogisticCalibration",
    "OpenSet",
    "OpenSetReport",
    "OpenSetResult",
    "OperatingPoint",
    "Rate",
    "Reliability",
    "Threshold",
    "VerificationResult",
    "bootstrap_identities",
    "choose_threshold",
    "clopper_pearson",
    "enrolled_identities",
    "evaluate_open_set",
    "evaluate_verification",
    "heldout_searches",
    "reliability",
    "searches_needed",
]
