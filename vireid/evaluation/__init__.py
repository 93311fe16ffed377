"""Evaluation protocols, the evaluator and its reports."""

from vireid.evaluation.api import evaluate_distances, evaluate_retrieval
from vireid.evaluation.attribute_leak import attribute_only
from vireid.evaluation.evaluator import Evaluator, RankedLists
from vireid.evaluation.extract import extract_features
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
    "LLCMProtocol",
    "LLCMReleasedTransposed",
    "QueryGalleryProtocol",
    "RankedLists",
    "RegDBProtocol",
    "Report",
    "SysuProtocol",
    "attribute_only",
    "evaluate_distances",
    "evaluate_retrieval",
    "extract_features",
    "format_table",
]
