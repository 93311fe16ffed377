"""Evaluation protocols, the evaluator and its reports."""

from vireid.evaluation.api import evaluate_distances, evaluate_retrieval
from vireid.evaluation.attribute_leak import attribute_only
from vireid.evaluation.evaluator import Evaluator, RankedLists
from vireid.evaluation.extract import extract_features
from vireid.evaluation.open_set import (
    IsotonicCalibration,
    LogisticCalibration,
    bootstrap_identities,
    choose_threshold,
    clopper_pearson,
    evaluate_open_set,
    evaluate_verification,
    reliability,
)
from vireid.evaluation.protocols import (
    LLCMProtocol,
    LLCMReleasedTransposed,
    QueryGalleryProtocol,
    RegDBProtocol,
    SysuProtocol,
)
from vireid.evaluation.report import Report, format_table

__all__ = [
    "Evaluator",
    "IsotonicCalibration",
    "LLCMProtocol",
    "LLCMReleasedTransposed",
    "LogisticCalibration",
    "QueryGalleryProtocol",
    "RankedLists",
    "RegDBProtocol",
    "Report",
    "SysuProtocol",
    "attribute_only",
    "bootstrap_identities",
    "choose_threshold",
    "clopper_pearson",
    "evaluate_distances",
    "evaluate_open_set",
    "evaluate_retrieval",
    "evaluate_verification",
    "extract_features",
    "format_table",
    "reliability",
]
