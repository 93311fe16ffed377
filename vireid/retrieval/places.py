"""Ranks of the correct images in rows of distances, without a loop over queries and without an argsort.

The values of a row are sorted once, and its few correct images are searched in them. To rank identities, only the
images nearer than the first correct one are examined. Rows in which a correct image ties with another are computed
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
    """The columns of the gallery, grouped by identity."""

    ids: np.ndarray  # (I,) ascending
    of_column: np.ndarray  # (G,) index into `ids`
    order: np.ndarray  # (G,) columns, grouped by identity
    starts: np.ndarray  # (I,) first entry of each identity in `order`
    counts: np.ndarray  # (I,)

    @classmethod
    def of(cls, gallery_ids: np.ndarray) -> Groups:
        """Group the columns of a gallery."""
        ids, of_column, counts = np.unique(gallery_ids, return_inverse=True, return_counts=True)
        return cls(ids, of_column, np.argsort(of_column, kind="stable"), counts.cumsum() - counts, counts)

    def columns(self, query_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns of each query's identity, (Q, K) with K at least 1, and which entries are valid."""
        group = np.searchsorted(self.ids, query_ids).clip(max=len(self.ids) - 1)
        counts = np.where(self.ids[group] == query_ids, self.counts[group], 0)
        steps = np.arange(max(int(counts.max()), 1))
        valid = steps < counts[:, None]
        return self.order[np.where(valid, self.starts[group][:, None] + steps, 0)], valid


@dataclass(frozen=True)
class Matrix:
    """Distances (Q, G), read in blocks of rows as smaller-is-closer; ignored entries are infinite."""

    distances: np.ndarray
    junk: Junk | None
    larger_is_closer: bool

    def fill(self, rows: slice, out: np.ndarray) -> np.ndarray | None:
        """Write the rows into `out` (b, G) and return their junk mask.

        Raises:
            DataError: If an entry is NaN.
        """
        if self.larger_is_closer:
            np.negative(self.distances[rows], out=out)
        else:
            np.copyto(out, self.distances[rows])
        if np.isnan(out.min()):  # NaN if any entry is NaN
            self._raise_nan(rows, out)
        if self.junk is None:
            return None
        junk = self.junk[rows] if isinstance(self.junk, np.ndarray) else self.junk(rows)
        if junk.shape != out.shape or junk.dtype != bool:
            raise UserError(f"junk of {out.shape[0]} queries must be bool {out.shape}, got {junk.dtype} {junk.shape}")
        np.copyto(out, np.inf, where=junk)
        return junk

    @staticmethod
    def _raise_nan(rows: slice, values: np.ndarray) -> None:
        bad = np.isnan(values)
        row, column = np.argwhere(bad)[0]
        raise DataError(
            f"the score of query {rows.start + row} and gallery image {column} is not a number (NaN);"
            f" {int(bad.sum())} such entries in these rows: check the embeddings or distances"
        )


class Worker:
    """Measure a block of rows at a time in reused buffers (allocating them costs more than the computation)."""

    def __init__(self, matrix: Matrix, query_ids: np.ndarray, groups: Groups, most: int, *, by_identity: bool) -> None:
        self.matrix, self.query_ids, self.groups, self.by_identity = matrix, query_ids, groups, by_identity
        shape = (most, matrix.distances.shape[1])
        self.values, self.ordered = (np.empty(shape, matrix.distances.dtype) for _ in range(2))
        self.nearer = np.empty(shape, bool) if by_identity else None

    def measure(self, rows: slice) -> tuple[np.ndarray, ...]:
        """Compute the columns of `QueryScores` for these rows."""
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
        ties = np.flatnonzero(tied & counted)
        if len(ties):
            keys = _unique_keys(values[ties], None if junk is None else junk[ties])
            places[ties], ahead[ties], _ = self._locate(keys, np.sort(keys, axis=1), columns[ties], correct[ties])
        last = np.iinfo(np.int64).max
        places = np.sort(np.where(correct, places, last), axis=1)  # valid entries first
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
        """Locate the correct images.

        Returns:
            Ranks from 1 of the correct images (b, K), the number of identities before the first (b,), and the rows (b,)
            in which a tie may make either wrong.
        """
        correct_values = np.take_along_axis(values, columns, axis=1)
        nearer = torch.searchsorted(torch.from_numpy(ordered), torch.from_numpy(correct_values)).numpy()
        after = np.take_along_axis(ordered, (nearer + 1).clip(max=ordered.shape[1] - 1), axis=1)
        tied = (correct & (after == correct_values) & (nearer + 1 < ordered.shape[1])).any(axis=1)
        ahead = np.zeros(len(values), dtype=np.int64)
        if self.nearer is not None:
            place = np.where(correct, nearer, len(self.groups.of_column)).argmin(axis=1)[:, None]
            some = np.flatnonzero(np.take_along_axis(nearer, place, axis=1)[:, 0] * correct.any(axis=1))
            first = np.take_along_axis(correct_values, place, axis=1)
            mask = np.less(values[some], first[some], out=self.nearer[: len(some)])
            ahead[some] = self._identities(mask)
        return nearer + 1, ahead, tied

    def _identities(self, chosen: np.ndarray) -> np.ndarray:
        """Count the distinct identities of the chosen images: (b, G) bool -> (b,)."""
        entries = np.flatnonzero(chosen)
        row = entries // chosen.shape[1]
        seen = np.zeros((len(chosen), len(self.groups.ids)), bool)
        seen[row, self.groups.of_column[entries - row * chosen.shape[1]]] = True
        return _number(seen)


def _number(flags: np.ndarray) -> np.ndarray:
    """Count the True entries of each row: (b, N) bool -> (b,)."""
    return np.bitwise_count(np.packbits(flags, axis=1)).sum(axis=1, dtype=np.int64)


def _unique_keys(values: np.ndarray, junk: np.ndarray | None) -> np.ndarray:
    """Replace values by (b, G) int64 keys without ties, ordered by value, then ignored images last, then column."""
    if junk is None:
        order = np.argsort(values, axis=1, kind="stable")
    else:
        order = np.lexsort((values, junk), axis=1)
    keys = np.empty(values.shape, dtype=np.int64)
    np.put_along_axis(keys, order, np.arange(values.shape[1])[None], axis=1)
    return keys
