"""Verification and open-set identification: rates, thresholds with confidence intervals, calibrated probabilities."""

from vireid.evaluation.open_set.calibration import IsotonicCalibration, LogisticCalibration, Reliability, reliability
from vireid.evaluation.open_set.candidates import enrolled_identities
from vireid.evaluation.open_set.identification import OpenSetResult, evaluate_open_set
from vireid.evaluation.open_set.thresholds import (
    Threshold,
    bootstrap_identities,
    choose_threshold,
    clopper_pearson,
    searches_needed,
)
from vireid.evaluation.open_set.verification import VerificationResult, evaluate_verification

__all__ = [
    "IsotonicCalibration",
    "LogisticCalibration",
    "OpenSetResult",
    "Reliability",
    "Threshold",
    "VerificationResult",
    "bootstrap_identities",
    "choose_threshold",
    "clopper_pearson",
    "enrolled_identities",
    "evaluate_open_set",
    "evaluate_verification",
    "reliability",
    "searches_needed",
]
