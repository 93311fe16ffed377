"""Searches by held-out identities, from which a threshold and a calibration are chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.core.errors import ArgumentError, DataError
from vireid.evaluation.open_set.candidates import Fusion, candidates

_STREAM = 0x4F53  # key of these draws, in addition to the seed


@dataclass(frozen=True)
class HeldoutSearches:
    """Non-mated searches and comparisons of identities that the model was not trained on.

    Attributes:
        top_scores: (n,) score of the best candidate of each search.
        identities: (n,) identity of each search.
        enrolled: Number N of identities in the gallery of each search.
        not_counted: Number of probes without a counted image of another identity.
        scores: (m,) scores of all counted comparisons of two images.
        same: (m,) bool, whether the two images are of the same identity.
    """

    top_scores: np.ndarray
    identities: np.ndarray
    enrolled: int
    not_counted: int
    scores: np.ndarray
    same: np.ndarray


def heldout_searches(
    scores: np.ndarray,
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    junk: np.ndarray | None = None,
    *,
    enrolled: int | None = None,
    fusion: Fusion = "max",
    seed: int = 0,
) -> HeldoutSearches:
    """Search every probe once in a gallery of N other identities, so that every search is non-mated.

    For each identity N others are drawn. All probes of an identity search the same gallery.

    Args:
        scores: Similarities (Q, G), larger is closer.
        query_ids: Identities (Q,).
        gallery_ids: Identities (G,).
        junk: Ignored pairs (Q, G) bool.
        enrolled: Number N; at most one less than the number of identities of the gallery. None: half of them.
        fusion: Score of an identity: "max" or "mean" of its counted images.
        seed: Random seed of the draws.

    Raises:
        DataError: If the gallery has fewer than two identities, or no search is counted.
        ArgumentError: If N is out of range.

    Example:
        >>> scores = np.array([[0.9, 0.4, 0.1], [0.3, 0.8, 0.5]])
        >>> searches = heldout_searches(scores, np.array([1, 2]), np.array([1, 2, 3]), enrolled=2)
        >>> searches.top_scores.tolist(), searches.same.sum()
        ([0.4, 0.5], np.int64(2))
    """
    scores, query_ids, gallery_ids = np.asarray(scores), np.asarray(query_ids), np.asarray(gallery_ids)
    people = np.unique(gallery_ids)
    if len(people) < 2:
        raise DataError(f"held-out searches need gallery images of two or more identities, got {len(people)}")
    number = len(people) // 2 if enrolled is None else enrolled
    if not 1 <= number < len(people):
        raise ArgumentError(
            "enrolled", f"must be in 1 .. {len(people) - 1}, one less than the identities of the gallery, got {number}"
        )
    searching, person = np.unique(query_ids, return_inverse=True)
    gallery = _drawn(searching, people, number, seed)
    top = np.full(len(query_ids), -np.inf)
    for block in candidates(scores, query_ids, gallery_ids, junk, fusion):
        top[block.rows] = np.where(gallery[person[block.rows]], block.scores, -np.inf).max(axis=1)
    counted = top > -np.inf
    if not counted.any():
        raise DataError("no held-out query has a gallery image of another identity that is not ignored")
    pairs = np.ones(scores.shape, bool) if junk is None else ~junk
    same = query_ids[:, None] == gallery_ids
    return HeldoutSearches(
        top[counted], query_ids[counted], number, int((~counted).sum()), scores[pairs].astype(np.float64), same[pairs]
    )


def _drawn(searching: np.ndarray, people: np.ndarray, number: int, seed: int) -> np.ndarray:
    """The identities in the gallery of each searching identity: (S, I) bool, never the identity itself."""
    keys = np.random.default_rng([seed, _STREAM]).random((len(searching), len(people)))
    keys[searching[:, None] == people] = np.inf
    drawn = np.zeros(keys.shape, bool)
    np.put_along_axis(drawn, np.argpartition(keys, number - 1, axis=1)[:, :number], True, axis=1)
    return drawn
