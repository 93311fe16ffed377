"""Similarity matrix of an index search, with its recall against exact search."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vireid.core.errors import UserError
from vireid.core.interfaces import GalleryIndex

MISSED = -2.0  # similarity of an image that the search did not return: below every cosine
DEPTH = 10  # k of recall@k


class IndexedSimilarity:
    """Fill the similarity matrix with the results of an index that is searched for the complete gallery.

    Args:
        make: Factory of empty indexes; each call fills one.
        exact: Exact similarity, which the recall is measured against.

    Shape:
        queries (Q, D), gallery (G, D), float32 L2-normalized rows -> (Q, G) float32, larger is closer; -2 for images
        that the search did not return.

    Raises:
        UserError: If `make` returns an index that is not empty.
    """

    def __init__(
        self, make: Callable[[], GalleryIndex], *, exact: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> None:
        self.make, self.exact = make, exact
        self._recalls: list[float] = []  # of each call
        self._index: GalleryIndex | None = None

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        index = self._index = self.make()
        if len(index):
            raise UserError(
                f"{index.description} already holds {len(index)} embeddings: an evaluation needs an empty index"
            )
        index.add(gallery)
        scores, ids = index.search(queries, len(gallery))
        matrix = np.full((len(queries), len(gallery) + 1), MISSED, np.float32)  # the last column takes the ids -1
        np.put_along_axis(matrix, ids, np.where(ids < 0, MISSED, scores).astype(np.float32), axis=1)
        matrix = matrix[:, :-1]
        if len(queries) and not index.exact:
            self._recalls.append(_recall(matrix, self.exact(queries, gallery)))
        return matrix

    @property
    def recall(self) -> float | None:
        """Recall@10 over all calls: the share of the exact first 10 images among those of the index; None: exact."""
        return float(np.mean(self._recalls)) if self._recalls else None

    @property
    def description(self) -> str:
        """Name of the search for the conditions of a result, with its recall if it is approximate."""
        assert self._index is not None, "nothing was searched yet"
        if self.recall is None:
            return self._index.description
        return f"{self._index.description}: approximate with recall@{DEPTH} {self.recall:.3f} of the exact search"


def _recall(approximate: np.ndarray, exact: np.ndarray) -> float:
    """Compute recall@10; an image is correct if it is at least as similar as the tenth exact one."""
    depth = min(DEPTH, exact.shape[1])
    best = np.argsort(-approximate, axis=1, kind="stable")[:, :depth]
    least = np.sort(exact, axis=1)[:, -depth][:, None]
    right = np.take_along_axis(exact, best, axis=1) >= least - 1e-6
    return float((right & (np.take_along_axis(approximate, best, axis=1) > MISSED)).mean())
