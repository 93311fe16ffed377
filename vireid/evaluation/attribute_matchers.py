"""Distances between binary attribute vectors, without images or a network.

A row of codes has A values: 1, 0, or -1 for an attribute that was not annotated.
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
    """Hamming distance: the number of attributes that differ; not annotated attributes count 0.5.

    Shape:
        query (Q, A), gallery (G, A) -> (Q, G).

    Example:
        >>> hamming(np.array([[1, 0, 1]]), np.array([[1, 0, 1], [0, 1, 1], [1, 0, -1]])).tolist()
        [[0.0, 2.0, 0.5]]
    """
    differing, compared = _differing(query, gallery)
    return differing + 0.5 * (query.shape[1] - compared)


def exact(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Exact match: 0 if no attribute differs, else 1; not annotated attributes never differ.

    Shape:
        query (Q, A), gallery (G, A) -> (Q, G).

    Example:
        >>> exact(np.array([[1, 0, 1]]), np.array([[1, 0, 1], [0, 1, 1], [1, 0, -1]])).tolist()
        [[0.0, 1.0, 0.0]]
    """
    return (_differing(query, gallery)[0] > 0).astype(np.float64)


@dataclass(frozen=True)
class LikelihoodRatio:
    """Negative log-likelihood ratio: minus the sum over attributes of log P(values | same) / P(values | different).

    The attributes are treated as independent. Not annotated attributes add 0.

    Attributes:
        table: Log ratios (A, 2, 2), by value of the query and value of the gallery.
    """

    table: np.ndarray

    def __call__(self, query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """Compute distances: (Q, A), (G, A) -> (Q, G)."""
        distances = np.zeros((len(query), len(gallery)))
        for left, right in product((0, 1), repeat=2):
            distances -= ((query == left) * self.table[:, left, right]) @ (gallery == right).T.astype(np.float64)
        return distances


def fitted(samples: Sequence[Sample]) -> LikelihoodRatio:
    """Fit the likelihood ratio: each (identity, camera) counts once, infrared against visible.

    Counts start at one for each pair of values (Laplace smoothing), so that an unseen pair is rare and not impossible.

    Raises:
        DataError: If there is no pair of the same identity or none of different identities.
    """
    entries = sorted({(s.modality, s.camera, s.identity, s.attributes) for s in samples if s.attributes is not None})
    infrared, visible = ([entry for entry in entries if entry[0] == modality] for modality in _SIDES)
    ids = [np.array([entry[2] for entry in side]) for side in (infrared, visible)]
    same = ids[0][:, None] == ids[1][None]
    if not same.any() or same.all():
        raise DataError(
            "matcher 'llr' is fitted on identities that are not in the test, and needs labels in both modalities: "
            f"{len(infrared)} infrared and {len(visible)} visible entries have attributes"
        )
    codes = [np.array([entry[3] for entry in side]) for side in (infrared, visible)]
    return LikelihoodRatio(np.log(_joint(same, *codes)) - np.log(_joint(~same, *codes)))


_SIDES = (Modality.INFRARED, Modality.VISIBLE)


def _joint(pairs: np.ndarray, query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Estimate joint frequencies of attribute values in the chosen pairs: (Q, G) bool and codes -> (A, 2, 2)."""
    weights = pairs.astype(np.float64)
    rows = [[((query == a) * (weights @ (gallery == b))).sum(axis=0) for b in (0, 1)] for a in (0, 1)]
    counts = np.moveaxis(np.array(rows), 2, 0) + 1
    return counts / counts.sum(axis=(1, 2), keepdims=True)


MATCHERS: Mapping[str, Callable[[Sequence[Sample]], Matcher]] = {  # name -> samples to fit on -> matcher
    "hamming": lambda samples: hamming,
    "exact": lambda samples: exact,
    "llr": fitted,
}


def matcher_named(name: str, samples: Sequence[Sample] = ()) -> Matcher:
    """Return a matcher by name; "llr" is fitted on `samples`, images of other identities than those of the test.

    Raises:
        UserError: For an unknown name, with the nearest and all known names.
    """
    if name not in MATCHERS:
        suggestion = nearest(str(name), MATCHERS) or ";"
        raise UserError(f"unknown attribute matcher {name!r}{suggestion} Known: {', '.join(MATCHERS)}")
    return MATCHERS[name](samples)


def _differing(query: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count the attributes (Q, G) that differ, and those that are annotated on both sides."""
    ones = [(side == 1).astype(np.float64) for side in (query, gallery)]
    zeros = [(side == 0).astype(np.float64) for side in (query, gallery)]
    known = [one + zero for one, zero in zip(ones, zeros)]
    return ones[0] @ zeros[1].T + zeros[0] @ ones[1].T, known[0] @ known[1].T
