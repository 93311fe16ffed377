"""Ranked lists, for users that need the images and not only the metrics: figures, re-ranking, the gallery tool."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.core.errors import DataError, UserError

NO_IMAGE = -1  # id of an unused place: ignored images were removed, or the gallery has fewer images


@dataclass(frozen=True)
class Ranking:
    """The nearest gallery images of each query, best first; checked on construction."""

    ids: np.ndarray  # (Q, K) int64 gallery rows; -1 in unused places
    scores: np.ndarray  # (Q, K) larger is closer; equal scores are ordered by id; -inf where the id is -1

    def __post_init__(self) -> None:
        if self.ids.ndim != 2 or self.ids.shape != self.scores.shape:
            raise UserError(f"ids and scores must both be (Q, K), got {self.ids.shape} and {self.scores.shape}")
        if (self.scores[:, :-1] < self.scores[:, 1:]).any():
            raise UserError(
                "the scores of a ranking must not increase from one place to the next: sort them in descending order"
            )
        if ((self.ids == NO_IMAGE) != (self.scores == -np.inf)).any():
            raise UserError("the score of a ranking must be -inf where the id is -1, and only there")

    def __len__(self) -> int:
        return len(self.ids)

    def top(self, k: int) -> Ranking:
        """Return the first k places."""
        return Ranking(self.ids[:, :k], self.scores[:, :k])

    def mapped(self, rows: np.ndarray) -> Ranking:
        """Return the ranking with other numbers for the gallery images: id i becomes rows[i]."""
        return Ranking(np.where(self.ids == NO_IMAGE, NO_IMAGE, rows[self.ids.clip(min=0)]), self.scores)


def rank_rows(scores: np.ndarray, *, junk: np.ndarray | None = None, k: int | None = None) -> Ranking:
    """Sort the gallery for each query by score, larger first; equal scores are ordered by gallery row.

    Args:
        scores: Similarities (Q, G), larger is closer.
        junk: (Q, G) bool; True is ignored: its place is unused (-1) at the end of the row.
        k: Number of places to keep; None keeps all.

    Raises:
        DataError: If a score is NaN.

    Example:
        >>> rank_rows(np.array([[0.5, 0.9, 0.5]]), junk=np.array([[False, True, False]])).ids.tolist()
        [[0, 2, -1]]
    """
    if np.isnan(scores).any():
        raise DataError("the scores contain NaN: check the embeddings or distances")
    lowest = scores if junk is None else np.where(junk, -np.inf, scores)
    order = np.argsort(-lowest, axis=1, kind="stable")[:, :k]
    ordered = np.take_along_axis(lowest, order, axis=1)
    return Ranking(np.where(ordered == -np.inf, NO_IMAGE, order), ordered)
