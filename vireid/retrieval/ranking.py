"""A ranking, made only where somebody looks at one: ranked lists, re-ranking, the gallery tool."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.core.errors import DataError, UserError

NOBODY = -1  # id where junk was removed or the gallery ended


@dataclass(frozen=True)
class Ranking:
    """Answers of each query, best first; checked when made."""

    ids: np.ndarray  # (Q, K) int64 gallery rows; -1 where junk was removed
    scores: np.ndarray  # (Q, K) larger is closer; equal scores are ordered by id; -inf where the id is -1

    def __post_init__(self) -> None:
        if self.ids.ndim != 2 or self.ids.shape != self.scores.shape:
            raise UserError(f"ids and scores must both be (Q, K), got {self.ids.shape} and {self.scores.shape}")
        if (self.scores[:, :-1] < self.scores[:, 1:]).any():
            raise UserError("the scores of a ranking must not rise from one place to the next")
        if ((self.ids == NOBODY) != (self.scores == -np.inf)).any():
            raise UserError("a ranking has the score -inf exactly where its id is -1")

    def __len__(self) -> int:
        return len(self.ids)

    def top(self, k: int) -> Ranking:
        """The first k places."""
        return Ranking(self.ids[:, :k], self.scores[:, :k])

    def mapped(self, rows: np.ndarray) -> Ranking:
        """The same ranking with other numbers for the gallery images: id i becomes rows[i]."""
        return Ranking(np.where(self.ids == NOBODY, NOBODY, rows[self.ids.clip(min=0)]), self.scores)


def rank_rows(scores: np.ndarray, *, junk: np.ndarray | None = None, k: int | None = None) -> Ranking:
    """Order the gallery for each query.

    Shapes: scores (Q, G), larger is closer; junk (Q, G) bool, True is left out: its places are at the end of the row.
    `k`: places to keep, all unless given.

    >>> rank_rows(np.array([[0.5, 0.9, 0.5]]), junk=np.array([[False, True, False]])).ids.tolist()
    [[0, 2, -1]]
    """
    if np.isnan(scores).any():
        raise DataError("scores to rank contain values that are not a number (NaN)")
    lowest = scores if junk is None else np.where(junk, -np.inf, scores)
    order = np.argsort(-lowest, axis=1, kind="stable")[:, :k]
    ordered = np.take_along_axis(lowest, order, axis=1)
    return Ranking(np.where(ordered == -np.inf, NOBODY, order), ordered)
