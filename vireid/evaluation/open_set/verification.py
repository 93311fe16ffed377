"""Verification: are two images of the same person? False match and false non-match rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vireid.core.errors import ArgumentError, DataError
from vireid.evaluation.open_set.candidates import Fusion, candidates, checked_scores
from vireid.evaluation.open_set.thresholds import limit_for


@dataclass(frozen=True)
class VerificationPoint:
    """Rates at a wanted false match rate.

    Args:
        wanted: Wanted false match rate.
        limit: Pairs with a larger score are accepted.
        fmr: Realized false match rate, at most the wanted one.
        fnmr: False non-match rate.
    """

    wanted: float
    limit: float
    fmr: float
    fnmr: float


@dataclass(frozen=True)
class VerificationResult:
    """Rates of all comparisons at all thresholds. A score of at least the threshold is accepted.

    Args:
        thresholds: +inf, then the distinct scores in descending order (T,).
        fmr: False match rate at each (T,).
        fnmr: False non-match rate at each (T,).
        eer: Equal error rate.
        auc: Area under the ROC curve.
        mated: Number of comparisons of the same identity.
        non_mated: Number of comparisons of different identities.
        points: Rates at the wanted false match rates.
    """

    thresholds: np.ndarray
    fmr: np.ndarray
    fnmr: np.ndarray
    eer: float
    auc: float
    mated: int
    non_mated: int
    points: tuple[VerificationPoint, ...] = ()


def evaluate_verification(
    scores: np.ndarray,
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    junk: np.ndarray | None = None,
    *,
    unit: Literal["image", "identity"] = "image",
    fusion: Fusion = "max",
    fmr: Sequence[float] = (0.01, 0.1),
) -> VerificationResult:
    """Compute verification rates from a score matrix.

    The curves have a threshold for every distinct score: with `unit` "image" this takes several times the memory of the
    matrix.

    Args:
        scores: Similarities (Q, G), larger is closer.
        query_ids: Identities (Q,).
        gallery_ids: Identities (G,).
        junk: Ignored pairs (Q, G) bool.
        unit: Compare a query with each gallery "image", or with each enrolled "identity".
        fusion: Score of an identity: "max" or "mean" of its counted images.
        fmr: Wanted false match rates.

    Raises:
        DataError: If there is no mated or no non-mated comparison, or a score is not finite.
        UserError: If the shapes do not fit.

    Source:
        Terms and definitions of ISO/IEC 19795-1. No interpolation at a wanted rate.

    Example:
        >>> scores = np.array([[0.9, 0.4, 0.1], [0.3, 0.8, 0.5]])
        >>> result = evaluate_verification(scores, np.array([1, 2]), np.array([1, 2, 3]), fmr=(0.25,))
        >>> result.eer, result.auc, result.points[0].limit, result.points[0].fmr
        (0.0, 1.0, 0.4, 0.25)
    """
    query_ids, gallery_ids = np.asarray(query_ids), np.asarray(gallery_ids)
    if unit == "identity":
        mated, non_mated = _by_identity(scores, query_ids, gallery_ids, junk, fusion)
    elif unit == "image":
        scores = checked_scores(scores, query_ids, gallery_ids, junk)
        counted = np.ones(scores.shape, bool) if junk is None else ~junk
        same = query_ids[:, None] == gallery_ids
        mated, non_mated = scores[same & counted], scores[~same & counted]
    else:
        raise ArgumentError("unit", f"must be 'image' or 'identity', got {unit!r}")
    for name, values in (("mated", mated), ("non-mated", non_mated)):
        if len(values) == 0:
            raise DataError(f"verification needs both kinds of comparisons, and there is no {name} one")
    return _rates(np.sort(mated), np.sort(non_mated), fmr)


def _by_identity(
    scores: np.ndarray, query_ids: np.ndarray, gallery_ids: np.ndarray, junk: np.ndarray | None, fusion: Fusion
) -> tuple[np.ndarray, np.ndarray]:
    mated, non_mated = [], []
    for block in candidates(scores, query_ids, gallery_ids, junk, fusion):
        counted = block.scores > -np.inf
        same = np.arange(block.scores.shape[1]) == block.mate[:, None]
        mated.append(block.scores[same & counted])
        non_mated.append(block.scores[~same & counted])
    return np.concatenate(mated), np.concatenate(non_mated)


def _rates(mated: np.ndarray, non_mated: np.ndarray, wanted: Sequence[float]) -> VerificationResult:
    """Rates of ascending scores."""
    thresholds = np.concatenate([[np.inf], np.unique(np.concatenate([mated, non_mated]))[::-1]])
    fmr = 1 - np.searchsorted(non_mated, thresholds, side="left") / len(non_mated)
    fnmr = np.searchsorted(mated, thresholds, side="left") / len(mated)
    below = np.searchsorted(non_mated, mated, side="left")
    equal = np.searchsorted(non_mated, mated, side="right") - below
    auc = float((below + equal / 2).sum() / (len(mated) * len(non_mated)))
    points = []
    for rate in wanted:
        _, limit = limit_for(non_mated, rate)
        realized, missed = float((non_mated > limit).mean()), float((mated <= limit).mean())
        points.append(VerificationPoint(rate, limit, realized, missed))
    return VerificationResult(
        thresholds, fmr, fnmr, _equal_error_rate(fmr, fnmr), auc, len(mated), len(non_mated), tuple(points)
    )


def _equal_error_rate(fmr: np.ndarray, fnmr: np.ndarray) -> float:
    """The rate at which both errors are equal, linear between two thresholds."""
    place = int((fmr >= fnmr).argmax())
    if fmr[place] == fnmr[place]:
        return float(fmr[place])
    before, after = fnmr[place - 1] - fmr[place - 1], fmr[place] - fnmr[place]
    return float(fmr[place - 1] + before / (before + after) * (fmr[place] - fmr[place - 1]))
