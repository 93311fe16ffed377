"""Scores of probes against enrolled identities, from scores against gallery images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vireid.core.errors import ArgumentError, DataError, UserError
from vireid.retrieval.places import Groups

Fusion = Literal["max", "mean"]
BLOCK = 1 << 22  # matrix entries in memory at a time


@dataclass(frozen=True)
class Candidates:
    """Scores of a block of probes against the enrolled identities.

    Args:
        rows: Rows of the block.
        scores: (b, I); -inf for an identity without a counted image.
        mate: (b,) index of the probe's identity in 0..I-1; -1 if it is not enrolled.
    """

    rows: slice
    scores: np.ndarray
    mate: np.ndarray


def candidates(
    scores: np.ndarray, query_ids: np.ndarray, gallery_ids: np.ndarray, junk: np.ndarray | None, fusion: Fusion
) -> Iterator[Candidates]:
    """Fuse the counted images of each enrolled identity, block by block.

    Args:
        scores: Similarities (Q, G).
        query_ids: Identities (Q,).
        gallery_ids: Identities (G,).
        junk: Ignored pairs (Q, G) bool.
        fusion: "max" or "mean" of the scores of an identity's images.

    Raises:
        ArgumentError: If `fusion` is unknown.
        UserError: If the shapes do not fit.
        DataError: If a score is not finite.
    """
    fuse = {"max": _largest, "mean": _mean}.get(fusion)
    if fuse is None:
        raise ArgumentError("fusion", f"must be 'max' or 'mean', got {fusion!r}")
    scores = checked_scores(scores, query_ids, gallery_ids, junk)
    groups = Groups.of(gallery_ids)
    place = np.searchsorted(groups.ids, query_ids).clip(max=len(groups.ids) - 1)
    mate = np.where(groups.ids[place] == query_ids, place, -1)
    step = max(1, BLOCK // scores.shape[1])
    for start in range(0, len(scores), step):
        rows = slice(start, min(start + step, len(scores)))
        block = scores[rows][:, groups.order]
        ignored = np.zeros(block.shape, bool) if junk is None else junk[rows][:, groups.order]
        yield Candidates(rows, fuse(block, ignored, groups.starts), mate[rows])


def checked_scores(
    scores: np.ndarray, query_ids: np.ndarray, gallery_ids: np.ndarray, junk: np.ndarray | None
) -> np.ndarray:
    """Check the shapes of a score matrix (Q, G) and its labels, and return it as an array.

    Raises:
        UserError: If the shapes do not fit.
        DataError: If a score is not finite.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or 0 in scores.shape:
        raise UserError(f"scores must be a matrix (queries, gallery) with entries, got the shape {scores.shape}")
    for name, ids, length in (("query_ids", query_ids, len(scores)), ("gallery_ids", gallery_ids, scores.shape[1])):
        if np.shape(ids) != (length,):
            raise UserError(f"{name} must have the shape ({length},), got {np.shape(ids)}")
    if junk is not None and (junk.shape != scores.shape or junk.dtype != bool):
        raise UserError(f"junk must be bool {scores.shape}, got {junk.dtype} {junk.shape}")
    if not (np.isfinite(scores.min()) and np.isfinite(scores.max())):
        row, column = np.argwhere(~np.isfinite(scores))[0]
        raise DataError(f"scores: entry ({row}, {column}) is {scores[row, column]}, which is not finite")
    return scores


def _largest(scores: np.ndarray, ignored: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.maximum.reduceat(np.where(ignored, -np.inf, scores), starts, axis=1)


def _mean(scores: np.ndarray, ignored: np.ndarray, starts: np.ndarray) -> np.ndarray:
    number = np.add.reduceat(~ignored, starts, axis=1, dtype=np.int64)
    total = np.add.reduceat(np.where(ignored, 0.0, scores), starts, axis=1)
    return np.where(number > 0, total / np.maximum(number, 1), -np.inf)


def enrolled_identities(ids: np.ndarray, *, share: float = 0.5, trials: int = 10, seed: int = 0) -> np.ndarray:
    """Draw the identities that are enrolled in each trial.

    Args:
        ids: Identities of the gallery, in any order and number.
        share: Share of the identities that is enrolled.
        trials: Number of trials.
        seed: Random seed.

    Returns:
        (trials, I) bool, for the distinct identities in ascending order.

    Example:
        >>> enrolled_identities(np.array([4, 7, 7, 9, 9, 5]), share=0.5, trials=2, seed=0).sum(axis=1).tolist()
        [2, 2]
    """
    if not 0 < share < 1:
        raise ArgumentError("share", f"must be in (0, 1), got {share:g}")
    if trials < 1:
        raise ArgumentError("trials", f"must be at least 1, got {trials}")
    number = len(np.unique(ids))
    enrolled = np.zeros((trials, number), bool)
    for trial in range(trials):
        enrolled[trial, enrolled_in_trial(number, trial, share=share, seed=seed)] = True
    return enrolled


def enrolled_in_trial(number: int, trial: int, *, share: float = 0.5, seed: int = 0) -> np.ndarray:
    """Draw which of `number` identities in ascending order are enrolled in one trial: (round(share number),) places."""
    return np.random.default_rng([seed, trial]).permutation(number)[: round(share * number)]
