"""Distances between people of whom nothing is known but their binary attributes; no image, no network.

A row of codes holds A values: 1, 0, or -1 where nobody annotated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from vireid.core.errors import DataError, UserError, nearest
from vireid.core.types import Modality, Sample

Matcher = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (Q, A), (G, A) codes -> (Q, G) distances


def hamming(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """(Q, A), (G, A) -> (Q, G) number of attributes that differ; one that nobody annotated on a side counts a half.

    >>> hamming(np.array([[1, 0, 1]]), np.array([[1, 0, 1], [0, 1, 1], [1, 0, -1]])).tolist()
    [[0.0, 2.0, 0.5]]
    """
    differing, compared = _differing(query, gallery)
    return differing + 0.5 * (query.shape[1] - compared)


def exact(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """(Q, A), (G, A) -> (Q, G) 0 where no attribute differs, else 1; what nobody annotated differs from nothing.

    >>> exact(np.array([[1, 0, 1]]), np.array([[1, 0, 1], [0, 1, 1], [1, 0, -1]])).tolist()
    [[0.0, 1.0, 0.0]]
    """
    return (_differing(query, gallery)[0] > 0).astype(np.float64)


@dataclass(frozen=True)
class LikelihoodRatio:
    """Minus the sum over the attributes of log P(pair of values | same person) / P(pair | different persons).

    `table`: (A, 2, 2) of those logarithms, by value of the query and value of the gallery; attributes count as
    independent. One that nobody annotated on a side adds nothing.
    """

    table: np.ndarray

    def __call__(self, query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """(Q, A), (G, A) -> (Q, G)."""
        distances = np.zeros((len(query), len(gallery)))
        for left, right in product((0, 1), repeat=2):
            distances -= ((query == left) * self.table[:, left, right]) @ (gallery == right).T.astype(np.float64)
        return distances


def fitted(samples: Sequence[Sample]) -> LikelihoodRatio:
    """The ratio learned from other people: each (identity, camera) counts once, infrared against visible.

    Each of the four pairs of values of an attribute begins with one observation, so that what was never seen is rare
    and not impossible.
    Errors: DataError without a pair of the same person and one of different persons.
    """
    entries = sorted({(s.modality, s.camera, s.identity, s.attributes) for s in samples if s.attributes is not None})
    infrared, visible = ([entry for entry in entries if entry[0] == modality] for modality in _SIDES)
    ids = [np.array([entry[2] for entry in side]) for side in (infrared, visible)]
    same = ids[0][:, None] == ids[1][None]
    if not same.any() or same.all():
        raise DataError(
            "matcher 'llr' is fitted on people who are not tested, and needs labelled ones in both modalities:"
            f" {len(infrared)} infrared and {len(visible)} visible entries have attributes there"
        )
    codes = [np.array([entry[3] for entry in side]) for side in (infrared, visible)]
    return LikelihoodRatio(np.log(_joint(same, *codes)) - np.log(_joint(~same, *codes)))


_SIDES = (Modality.INFRARED, Modality.VISIBLE)


def _joint(pairs: np.ndarray, query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """(Q, G) bool, codes -> (A, 2, 2) shares of the pairs of values among the chosen pairs."""
    weights = pairs.astype(np.float64)
    rows = [[((query == a) * (weights @ (gallery == b))).sum(axis=0) for b in (0, 1)] for a in (0, 1)]
    counts = np.moveaxis(np.array(rows), 2, 0) + 1
    return counts / counts.sum(axis=(1, 2), keepdims=True)


MATCHERS: Mapping[str, Callable[[Sequence[Sample]], Matcher]] = {  # name -> people to learn from -> matcher
    "hamming": lambda samples: hamming,
    "exact": lambda samples: exact,
    "llr": fitted,
}


def matcher_named(name: str, samples: Sequence[Sample] = ()) -> Matcher:
    """A matcher by name; `samples` are people who are not tested, which "llr" learns from.

    Errors: UserError with the nearest and all known names for another name.
    """
    if name not in MATCHERS:
        suggestion = nearest(str(name), MATCHERS) or ";"
        raise UserError(f"no attribute matcher is named {name!r}{suggestion} Known: {', '.join(MATCHERS)}")
    return MATCHERS[name](samples)


def _differing(query: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Q, G) attributes that differ, and attributes that somebody annotated on both sides."""
    ones = [(side == 1).astype(np.float64) for side in (query, gallery)]
    zeros = [(side == 0).astype(np.float64) for side in (query, gallery)]
    known = [one + zero for one, zero in zip(ones, zeros)]
    return ones[0] @ zeros[1].T + zeros[0] @ ones[1].T, known[0] @ known[1].T
