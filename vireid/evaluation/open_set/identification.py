"""Open-set identification: who is it, and is the person enrolled at all?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vireid.core.errors import ArgumentError, DataError
from vireid.evaluation.open_set.candidates import Fusion, candidates
from vireid.evaluation.open_set.thresholds import limit_for

NON_MATED, MATED, NOT_COUNTED = 0, 1, 2  # roles of a probe


@dataclass(frozen=True)
class Searches:
    """The searches of all probes.

    Args:
        role: (Q,) MATED: an image of the identity is counted; NON_MATED: the identity is not enrolled, and an image is
            counted; NOT_COUNTED: the identity is enrolled with ignored images only, or no image is counted.
        top_score: (Q,) score of the best candidate.
        mate_score: (Q,) score of the probe's identity; -inf unless the search is mated.
        mate_rank: (Q,) 1 + number of other identities with at least the score of the mate; 0 unless mated.
    """

    role: np.ndarray
    top_score: np.ndarray
    mate_score: np.ndarray
    mate_rank: np.ndarray

    @property
    def mated(self) -> np.ndarray:
        return self.role == MATED

    @property
    def non_mated(self) -> np.ndarray:
        return self.role == NON_MATED


@dataclass(frozen=True)
class OpenSetPoint:
    """Rates at a wanted false positive identification rate, with the limit chosen on the SAME searches (an oracle).

    Args:
        wanted: Wanted FPIR.
        limit: Candidates with a larger score are reported.
        fpir: Realized false positive identification rate, at most the wanted one.
        fnir: False negative identification rate for each rank.
        misidentified: Share of mated searches in which another identity is reported first; a part of FNIR at rank 1.
    """

    wanted: float
    limit: float
    fpir: float
    fnir: tuple[float, ...]
    misidentified: float


@dataclass(frozen=True)
class OpenSetResult:
    """Rates of open-set identification at all thresholds. A score of at least the threshold is reported.

    Args:
        searches: The searches.
        ranks: Ranks R of FNIR.
        thresholds: +inf, then the distinct scores that change a rate, in descending order (T,).
        fpir: False positive identification rate at each (T,).
        fnir: False negative identification rate of each rank at each (R, T).
        points: Rates at the wanted false positive identification rates.
    """

    searches: Searches
    ranks: tuple[int, ...]
    thresholds: np.ndarray
    fpir: np.ndarray
    fnir: np.ndarray
    points: tuple[OpenSetPoint, ...] = ()


def evaluate_open_set(
    scores: np.ndarray,
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    junk: np.ndarray | None = None,
    *,
    fusion: Fusion = "max",
    fpir: Sequence[float] = (0.1,),
    ranks: Sequence[int] = (1,),
) -> OpenSetResult:
    """Compute open-set identification rates from a score matrix. Every query is one search of the enrolled identities.

    The thresholds of `points` are chosen on these searches: results with them must be called oracle results. For an
    honest threshold see `choose_threshold`.

    Args:
        scores: Similarities (Q, G), larger is closer.
        query_ids: Identities (Q,).
        gallery_ids: Identities (G,); those that occur are enrolled.
        junk: Ignored pairs (Q, G) bool.
        fusion: Score of an identity: "max" or "mean" of its counted images.
        fpir: Wanted false positive identification rates.
        ranks: Ranks R: a mated search is correct if the identity is among the first R candidates.

    Raises:
        DataError: If there is no mated or no non-mated search, or a score is not finite.
        UserError: If the shapes do not fit.

    Source:
        FPIR and FNIR of NIST FRVT part 2. Ties count against the mate, so that no row order matters.

    Example:
        >>> scores = np.array([[0.9, 0.4], [0.3, 0.8], [0.5, 0.2]])
        >>> result = evaluate_open_set(scores, np.array([1, 2, 9]), np.array([1, 2]), fpir=(0.1,))
        >>> result.points[0].limit, result.points[0].fpir, result.points[0].fnir
        (0.5, 0.0, (0.0,))
    """
    found = search(scores, np.asarray(query_ids), np.asarray(gallery_ids), junk, fusion=fusion)
    return rates_of(found, fpir=fpir, ranks=ranks)


def rates_of(searches: Searches, *, fpir: Sequence[float] = (0.1,), ranks: Sequence[int] = (1,)) -> OpenSetResult:
    """Compute open-set identification rates of searches; see `evaluate_open_set`."""
    if not ranks or any(rank < 1 for rank in ranks):
        raise ArgumentError("ranks", f"must be numbers of at least 1, got {list(ranks)}")
    for name, present in (("mated", searches.mated), ("non-mated", searches.non_mated)):
        if not present.any():
            raise DataError(
                f"open-set identification needs mated and non-mated searches, and there is no {name} one: enroll a"
                " part of the identities"
            )
    tops = np.sort(searches.top_score[searches.non_mated])
    mates, mate_ranks = searches.mate_score[searches.mated], searches.mate_rank[searches.mated]
    thresholds = np.concatenate([[np.inf], np.unique(np.concatenate([tops, mates]))[::-1]])
    false_positives = 1 - np.searchsorted(tops, thresholds, side="left") / len(tops)
    false_negatives = []
    for rank in ranks:
        found = np.sort(mates[mate_ranks <= rank])
        hits = len(found) - np.searchsorted(found, thresholds, side="left")
        false_negatives.append(1 - hits / len(mates))
    points = tuple(_point(searches, tops, ranks, wanted) for wanted in fpir)
    return OpenSetResult(searches, tuple(ranks), thresholds, false_positives, np.array(false_negatives), points)


def _point(searches: Searches, tops: np.ndarray, ranks: Sequence[int], wanted: float) -> OpenSetPoint:
    _, limit = limit_for(tops, wanted)
    fnir = tuple(float(missed(searches, limit, rank).mean()) for rank in ranks)
    wrong = misidentified(searches, limit)
    return OpenSetPoint(wanted, limit, float((tops > limit).mean()), fnir, float(wrong.mean()))


def missed(searches: Searches, limit: float, rank: int = 1) -> np.ndarray:
    """Whether each mated search is a false negative at a limit: (number of mated searches,) bool."""
    mated = searches.mated
    return ~((searches.mate_rank[mated] <= rank) & (searches.mate_score[mated] > limit))


def misidentified(searches: Searches, limit: float) -> np.ndarray:
    """Whether each mated search reports another identity first: (number of mated searches,) bool."""
    mated = searches.mated
    return (searches.mate_rank[mated] > 1) & (searches.top_score[mated] > limit)


def search(
    scores: np.ndarray,
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    junk: np.ndarray | None = None,
    *,
    fusion: Fusion = "max",
) -> Searches:
    """Search all probes in the gallery: roles, best candidates and mates, in blocks of queries.

    Args:
        scores: Similarities (Q, G), larger is closer.
        query_ids: Identities (Q,).
        gallery_ids: Identities (G,).
        junk: Ignored pairs (Q, G) bool.
        fusion: As in `evaluate_open_set`.
    """
    scores = np.asarray(scores)
    number = len(scores)
    role = np.full(number, NOT_COUNTED)
    top, mate_score, mate_rank = np.full(number, -np.inf), np.full(number, -np.inf), np.zeros(number, np.int64)
    for block in candidates(scores, query_ids, gallery_ids, junk, fusion):
        top[block.rows] = block.scores.max(axis=1)
        enrolled = block.mate >= 0
        own = np.where(enrolled, block.scores[np.arange(len(block.mate)), block.mate], -np.inf)
        mated = enrolled & (own > -np.inf)
        role[block.rows][mated] = MATED
        role[block.rows][~enrolled & (top[block.rows] > -np.inf)] = NON_MATED
        mate_score[block.rows] = own
        at_least = (block.scores >= own[:, None]).sum(axis=1)  # the mate is one of them
        mate_rank[block.rows] = np.where(mated, at_least, 0)
    return Searches(role, top, mate_score, mate_rank)
