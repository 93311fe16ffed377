"""The matrix of similarities as an index finds them, and how much of the exact answer that is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vireid.core.errors import UserError
from vireid.core.interfaces import GalleryIndex

MISSED = -2.0  # similarity of an image that was not found: below every cosine, so that it stands last
DEPTH = 10  # answers of which the recall is taken


class IndexedScorer:
    """Fills the matrix with what an index finds when it is asked for the whole gallery.

    `make`: an empty index; each call fills one of its own. `exact`: what the recall is taken against.

    Shapes: (Q, D), (G, D) float32 unit rows -> (Q, G) float32, larger is closer; images not found have -2.
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
                f"{index.description} holds {len(index)} vectors already: an evaluation needs an empty index"
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
        """Share of the exact first 10 answers among the index's first 10, over all calls; None: the index is exact."""
        return float(np.mean(self._recalls)) if self._recalls else None

    @property
    def description(self) -> str:
        """How results name the search, with its recall where it is approximate."""
        assert self._index is not None, "nothing was searched yet"
        if self.recall is None:
            return self._index.description
        return f"{self._index.description}: approximate with recall@{DEPTH} {self.recall:.3f} of the exact search"


def _recall(found: np.ndarray, exact: np.ndarray) -> float:
    """An answer is right that is at least as similar as the tenth exact one: ties are no misses."""
    depth = min(DEPTH, exact.shape[1])
    best = np.argsort(-found, axis=1, kind="stable")[:, :depth]
    least = np.sort(exact, axis=1)[:, -depth][:, None]
    right = np.take_along_axis(exact, best, axis=1) >= least - 1e-6
    return float((right & (np.take_along_axis(found, best, axis=1) > MISSED)).mean())
