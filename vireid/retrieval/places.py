"""Places of the correct images in rows of distances, without a loop over rows and without an argsort of whole rows.

The values of a row are sorted once and its few correct ones searched in them. Where identities are ranked, only the
images that are nearer than the first correct one are looked at. Rows in which a correct image has an equal are done
again with an argsort.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from vireid.core.errors import DataError, UserError

Junk = np.ndarray | Callable[[slice], np.ndarray]  # (Q, G) bool, or some rows of it: queries -> (b, G) bool


@dataclass(frozen=True, slots=True)
class Groups:
    """The gallery's columns, identity by identity."""

    ids: np.ndarray  # (I,) ascending
    of_column: np.ndarray  # (G,) index into `ids`
    order: np.ndarray  # (G,) columns, those of one identity together
    starts: np.ndarray  # (I,) where each identity begins in `order`
    counts: np.ndarray  # (I,)

    @classmethod
    def of(cls, gallery_ids: np.ndarray) -> Groups:
        ids, of_column, counts = np.unique(gallery_ids, return_inverse=True, return_counts=True)
        return cls(ids, of_column, np.argsort(of_column, kind="stable"), counts.cumsum() - counts, counts)

    def columns(self, query_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns of each query's identity, (Q, K), and which entries are real; K is at least 1."""
        group = np.searchsorted(self.ids, query_ids).clip(max=len(self.ids) - 1)
        counts = np.where(self.ids[group] == query_ids, self.counts[group], 0)
        steps = np.arange(max(int(counts.max()), 1))
        present = steps < counts[:, None]
        return self.order[np.where(present, self.starts[group][:, None] + steps, 0)], present


@dataclass(frozen=True)
class Matrix:
    """Distances (Q, G), of which rows are handed out as smaller-is-closer, infinite where they are not counted."""

    distances: np.ndarray
    junk: Junk | None
    larger_is_closer: bool

    def fill(self, rows: slice, out: np.ndarray) -> np.ndarray | None:
        """Writes the rows into `out` (b, G); gives their junk. DataError for NaN."""
        if self.larger_is_closer:
            np.negative(self.distances[rows], out=out)
        else:
            np.copyto(out, self.distances[rows])
        if np.isnan(out.min()):  # the minimum is NaN where one is among them
            self._refuse(rows, out)
        if self.junk is None:
            return None
        junk = self.junk[rows] if isinstance(self.junk, np.ndarray) else self.junk(rows)
        if junk.shape != out.shape or junk.dtype != bool:
            raise UserError(f"junk of {out.shape[0]} queries must be bool {out.shape}, got {junk.dtype} {junk.shape}")
        np.copyto(out, np.inf, where=junk)
        return junk

    @staticmethod
    def _refuse(rows: slice, values: np.ndarray) -> None:
        bad = np.isnan(values)
        row, column = np.argwhere(bad)[0]
        raise DataError(
            f"the score of query {rows.start + row} and gallery image {column} is not a number (NaN);"
            f" {int(bad.sum())} such entries in these rows: check what computed the scores, and its input"
        )


class Worker:
    """Measures some rows at a time, in buffers of its own that it uses again (fresh ones cost more than the work)."""

    def __init__(self, matrix: Matrix, query_ids: np.ndarray, groups: Groups, most: int, *, by_identity: bool) -> None:
        self.matrix, self.query_ids, self.groups, self.by_identity = matrix, query_ids, groups, by_identity
        shape = (most, matrix.distances.shape[1])
        self.values, self.ordered = (np.empty(shape, matrix.distances.dtype) for _ in range(2))
        self.nearer = np.empty(shape, bool) if by_identity else None

    def measure(self, rows: slice) -> tuple[np.ndarray, ...]:
        """The columns of `QueryScores` for these rows."""
        values = self.values[: rows.stop - rows.start]
        junk = self.matrix.fill(rows, values)
        columns, correct = self.groups.columns(self.query_ids[rows])
        if junk is not None:
            correct &= ~np.take_along_axis(junk, columns, axis=1)
        number = correct.sum(axis=1)
        counted = number > 0
        candidates = values.shape[1] - (0 if junk is None else _number(junk))
        ordered = self.ordered[: len(values)]
        np.copyto(ordered, values)
        ordered.sort(axis=1)
        places, ahead, tied = self._locate(values, ordered, columns, correct)
        again = np.flatnonzero(tied & counted)
        if len(again):
            keys = _unique_keys(values[again], None if junk is None else junk[again])
            places[again], ahead[again], _ = self._locate(keys, np.sort(keys, axis=1), columns[again], correct[again])
        last = np.iinfo(np.int64).max
        places = np.sort(np.where(correct, places, last), axis=1)  # the real ones first
        steps = np.arange(1, places.shape[1] + 1)
        precision = np.where(steps <= number[:, None], steps / places, 0.0)
        safe = number.clip(min=1)
        furthest = np.take_along_axis(places, safe[:, None] - 1, axis=1)[:, 0]
        first = ahead + 1 if self.by_identity else places[:, 0]
        return (
            counted,
            np.where(counted, first, 0),
            np.where(counted, precision.sum(axis=1) / safe, 0.0),
            np.where(counted, number / furthest, 0.0),
            np.where(counted, number / np.maximum(candidates, 1), 0.0),
        )

    def _locate(
        self, values: np.ndarray, ordered: np.ndarray, columns: np.ndarray, correct: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places from 1 of the correct images (b, K), number of identities before the first (b,), and rows (b,) in
        which a tie may make either wrong."""
        own = np.take_along_axis(values, columns, axis=1)
        nearer = torch.searchsorted(torch.from_numpy(ordered), torch.from_numpy(own)).numpy()
        after = np.take_along_axis(ordered, (nearer + 1).clip(max=ordered.shape[1] - 1), axis=1)
        tied = (correct & (after == own) & (nearer + 1 < ordered.shape[1])).any(axis=1)
        ahead = np.zeros(len(values), dtype=np.int64)
        if self.nearer is not None:
            place = np.where(correct, nearer, len(self.groups.of_column)).argmin(axis=1)[:, None]
            some = np.flatnonzero(np.take_along_axis(nearer, place, axis=1)[:, 0] * correct.any(axis=1))
            first = np.take_along_axis(own, place, axis=1)
            mask = np.less(values[some], first[some], out=self.nearer[: len(some)])
            ahead[some] = self._identities(mask)
        return nearer + 1, ahead, tied

    def _identities(self, chosen: np.ndarray) -> np.ndarray:
        """(b, G) bool -> (b,): of how many identities the chosen images are."""
        entries = np.flatnonzero(chosen)
        row = entries // chosen.shape[1]
        seen = np.zeros((len(chosen), len(self.groups.ids)), bool)
        seen[row, self.groups.of_column[entries - row * chosen.shape[1]]] = True
        return _number(seen)


def _number(flags: np.ndarray) -> np.ndarray:
    """(b, N) bool -> (b,): how many are True."""
    return np.bitwise_count(np.packbits(flags, axis=1)).sum(axis=1, dtype=np.int64)


def _unique_keys(values: np.ndarray, junk: np.ndarray | None) -> np.ndarray:
    """(b, G) -> (b, G) int64 without equal entries in a row: ordered by value, counted before junk, then column."""
    if junk is None:
        order = np.argsort(values, axis=1, kind="stable")
    else:
        order = np.lexsort((values, junk), axis=1)
    keys = np.empty(values.shape, dtype=np.int64)
    np.put_along_axis(keys, order, np.arange(values.shape[1])[None], axis=1)
    return keys
