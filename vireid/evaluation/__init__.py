"""Published protocols applied to features: metrics, trials, evaluators and reports with their conditions."""

from vireid.evaluation import (
    aggregate,
    attribute_leak,
    attribute_matchers,
    evaluator,
    features,
    flips,
    measures,
    protocols,
    report,
    rules,
)
from vireid.evaluation.attribute_leak import attribute_only
from vireid.evaluation.evaluator import Evaluator, RankedLists
from vireid.evaluation.features import extract_features
from vireid.evaluation.measures import evaluate_distances, evaluate_retrieval
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
    "aggregate",
    "attribute_leak",
    "attribute_matchers",
    "attribute_only",
    "evaluate_distances",
    "evaluate_retrieval",
    "evaluator",
    "extract_features",
    "features",
    "flips",
    "format_table",
    "measures",
    "protocols",
    "report",
    "rules",
]
