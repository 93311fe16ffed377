"""CMC, mAP and mINP of cross-modality retrieval: pure functions of distances, identities and a junk mask.

No loop over queries and no argsort of whole rows: with r_1 < ... < r_n the places of a query's correct images among
the counted ones, AP = mean(k / r_k) and INP = n / r_n, and a place is found by sorting the values of a row once and
searching the few correct ones in it. The place of an identity (CMC of SYSU-MM01 and LLCM) needs only each identity's
best value. Rows in which a correct image has an equal are done again with an argsort.

Equal distances are ordered by gallery row: the place of a correct image is the number of counted images that are
nearer, plus the counted ones at the same distance that stand in an earlier row, plus one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch

from vireid.core.errors import DataError, UserError, nearest

Cmc = Literal["identity", "image"]
CHUNK = 1 << 18  # matrix entries that a thread works on at a time
FEW = 8  # images of an identity up to which column by column is faster than `reduceat`


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over the counted queries. Percentages are made when printed, never stored."""

    cmc: np.ndarray  # (max(ranks),) in [0, 1]; entry k - 1 is rank k
    mean_ap: float
    mean_inp: float
    queries: int  # counted
    skipped: int  # had no correct image among the counted gallery: in none of the means
    chance: float  # rank-1 that a gallery in random order is expected to reach
    ranks: tuple[int, ...] = (1, 5, 10, 20)  # the ones to print

    def rank(self, k: int) -> float:
        if not 1 <= k <= len(self.cmc):
            raise UserError(f"rank {k} is not in the CMC curve, which has the ranks 1 to {len(self.cmc)}")
        return float(self.cmc[k - 1])


@dataclass(frozen=True, slots=True)
class QueryScores:
    """What `Scores` averages, one entry a query; zero where `counted` is False."""

    counted: np.ndarray  # (Q,) bool: has a correct image among the counted gallery
    first: np.ndarray  # (Q,) int64: place of the first correct image, or of its identity; from 1
    average_precision: np.ndarray  # (Q,)
    inverse_penalty: np.ndarray  # (Q,)
    chance: np.ndarray  # (Q,) share of correct images among the counted ones


def measure(
    distances: np.ndarray,
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    *,
    junk: np.ndarray | None = None,
    cmc: Cmc = "identity",
    ranks: Sequence[int] = (1, 5, 10, 20),
    larger_is_closer: bool = False,
) -> Scores:
    """CMC, mAP and mINP over all queries.

    Shapes: (Q, G), (Q,), (G,), junk (Q, G) bool where True is not counted.
    `cmc`: "identity" ranks the distinct identities by their best image, "image" ranks the images.
    Source: the metrics of AGW's release, `eval_sysu`, `eval_regdb` and `eval_llcm`.
    Departs from them: equal distances are ordered by gallery row (theirs: as the platform's sort happens to); the curve
    has max(ranks) entries, padded with the last value (theirs: as many as the gallery has images, and an error where
    queries see different numbers of identities). Queries without a correct image are skipped in all means, as there.

    >>> scores = measure(np.array([[0.1, 0.3, 0.2]]), np.array([7]), np.array([5, 7, 7]), ranks=(1, 2))
    >>> scores.cmc.tolist(), round(scores.mean_ap, 4), round(scores.mean_inp, 4)
    ([0.0, 1.0], 0.5833, 0.6667)
    """
    _checked_ranks(ranks)
    found = measure_queries(distances, query_ids, gallery_ids, junk=junk, cmc=cmc, larger_is_closer=larger_is_closer)
    return summarise(found, ranks)


def summarise(found: QueryScores, ranks: Sequence[int] = (1, 5, 10, 20)) -> Scores:
    """Means over the counted queries. DataError where none is counted."""
    longest = _checked_ranks(ranks)
    counted = int(found.counted.sum())
    if counted == 0:
        raise DataError(
            f"none of the {len(found.counted)} queries has a correct image in the gallery"
            " (once the images that the protocol does not count are left out): check identities and cameras"
        )
    firsts = np.bincount(found.first[found.counted], minlength=longest + 1)[1 : longest + 1]
    return Scores(
        cmc=firsts.cumsum() / counted,
        mean_ap=float(found.average_precision.sum() / counted),
        mean_inp=float(found.inverse_penalty.sum() / counted),
        queries=counted,
        skipped=len(found.counted) - counted,
        chance=float(found.chance.sum() / counted),
        ranks=tuple(ranks),
    )


def measure_queries(
    distances: np.ndarray,
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    *,
    junk: np.ndarray | None = None,
    cmc: Cmc = "identity",
    larger_is_closer: bool = False,
) -> QueryScores:
    """The measurements of each query by itself; arguments as in `measure`."""
    if cmc not in get_args(Cmc):
        raise UserError(f"cmc = {cmc!r} is not one of {get_args(Cmc)}{nearest(cmc, get_args(Cmc))}")
    distances, query_ids, gallery_ids = np.asarray(distances), np.asarray(query_ids), np.asarray(gallery_ids)
    _check_shapes(distances, query_ids, gallery_ids, junk)
    if distances.dtype not in (np.float32, np.float64):
        distances = distances.astype(np.float32 if distances.dtype == np.float16 else np.float64)
    groups = _Groups.of(gallery_ids)

    def of(rows: slice) -> tuple[np.ndarray, ...]:
        values = np.negative(distances[rows], order="C") if larger_is_closer else distances[rows].copy(order="C")
        _check_no_nan(values, rows.start)
        dropped = None if junk is None else junk[rows]
        if dropped is not None:
            values[dropped] = np.inf
        return _measure_rows(values, dropped, query_ids[rows], groups, by_identity=cmc == "identity")

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # numpy lets go of the interpreter while it works
        parts = list(pool.map(of, _chunks(*distances.shape)))
    return QueryScores(*(np.concatenate(column) for column in zip(*parts)))


@dataclass(frozen=True, slots=True)
class _Groups:
    """The gallery's columns, identity by identity."""

    ids: np.ndarray  # (I,) ascending
    order: np.ndarray  # (G,) columns, those of one identity together
    starts: np.ndarray  # (I,) where each identity begins in `order`
    counts: np.ndarray  # (I,)
    in_place: bool  # the gallery has this order already

    @classmethod
    def of(cls, gallery_ids: np.ndarray) -> _Groups:
        order = np.argsort(gallery_ids, kind="stable")
        ids, starts, counts = np.unique(gallery_ids[order], return_index=True, return_counts=True)
        return cls(ids, order, starts, counts, bool((order == np.arange(len(order))).all()))

    def columns(self, query_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns of each query's identity, (Q, K), and which entries are real; K is at least 1."""
        group = np.searchsorted(self.ids, query_ids).clip(max=len(self.ids) - 1)
        counts = np.where(self.ids[group] == query_ids, self.counts[group], 0)
        steps = np.arange(max(int(counts.max()), 1))
        present = steps < counts[:, None]
        return self.order[np.where(present, self.starts[group][:, None] + steps, 0)], present

    def best(self, values: np.ndarray) -> np.ndarray:
        """(Q, G) -> (Q, I): the smallest value of each identity."""
        most = int(self.counts.max())
        if most > FEW:
            grouped = values if self.in_place else values.take(self.order, axis=1)
            return np.minimum.reduceat(grouped, self.starts, axis=1)
        found = values.take(self.order[self.starts], axis=1)
        for k in range(1, most):  # an identity with fewer images offers its last one again
            columns = self.order[self.starts + np.minimum(k, self.counts - 1)]
            np.minimum(found, values.take(columns, axis=1), out=found)
        return found


def _measure_rows(
    values: np.ndarray, junk: np.ndarray | None, query_ids: np.ndarray, groups: _Groups, *, by_identity: bool
) -> tuple[np.ndarray, ...]:
    """The columns of `QueryScores`; `values` are infinite where `junk` is True."""
    columns, correct = groups.columns(query_ids)
    if junk is not None:
        correct &= ~np.take_along_axis(junk, columns, axis=1)
    number = correct.sum(axis=1)
    counted = number > 0
    candidates = values.shape[1] - (0 if junk is None else junk.sum(axis=1))
    places, ahead, tied = _locate(values, columns, correct, groups, by_identity)
    again = np.flatnonzero(tied & counted)
    if len(again):
        unique = _unique_keys(values[again], None if junk is None else junk[again])
        places[again], ahead[again], _ = _locate(unique, columns[again], correct[again], groups, by_identity)
    last = np.iinfo(np.int64).max
    places = np.sort(np.where(correct, places, last), axis=1)  # the real ones first
    steps = np.arange(1, places.shape[1] + 1)
    precision = np.where(steps <= number[:, None], steps / places, 0.0)
    safe = number.clip(min=1)
    furthest = np.take_along_axis(places, safe[:, None] - 1, axis=1)[:, 0]
    first = ahead + 1 if by_identity else places[:, 0]
    return (
        counted,
        np.where(counted, first, 0),
        np.where(counted, precision.sum(axis=1) / safe, 0.0),
        np.where(counted, number / furthest, 0.0),
        np.where(counted, number / np.maximum(candidates, 1), 0.0),
    )


def _locate(
    values: np.ndarray, columns: np.ndarray, correct: np.ndarray, groups: _Groups, by_identity: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places from 1 of the correct images (Q, K), number of identities before the first (Q,), and rows (Q,) in which
    a tie may make either wrong."""
    own = np.take_along_axis(values, columns, axis=1)
    ordered = np.sort(values, axis=1)
    nearer = torch.searchsorted(torch.from_numpy(ordered), torch.from_numpy(np.ascontiguousarray(own))).numpy()
    after = np.take_along_axis(ordered, (nearer + 1).clip(max=ordered.shape[1] - 1), axis=1)
    tied = (correct & (after == own) & (nearer + 1 < ordered.shape[1])).any(axis=1)
    ahead = np.zeros(len(values), dtype=np.int64)
    if by_identity:
        worst = np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).max
        first = np.where(correct, own, worst).min(axis=1, keepdims=True)
        ahead = np.count_nonzero(groups.best(values) < first, axis=1)
    return nearer + 1, ahead, tied


def _unique_keys(values: np.ndarray, junk: np.ndarray | None) -> np.ndarray:
    """(Q, G) -> (Q, G) int64 without equal entries in a row: ordered by value, counted before junk, then column."""
    if junk is None:
        order = np.argsort(values, axis=1, kind="stable")
    else:
        order = np.lexsort((values, junk), axis=1)
    keys = np.empty(values.shape, dtype=np.int64)
    np.put_along_axis(keys, order, np.arange(values.shape[1])[None], axis=1)
    return keys


def _chunks(queries: int, gallery: int) -> Iterator[slice]:
    step = max(1, CHUNK // max(gallery, 1))
    for start in range(0, queries, step):
        yield slice(start, min(start + step, queries))


def _check_shapes(
    distances: np.ndarray, query_ids: np.ndarray, gallery_ids: np.ndarray, junk: np.ndarray | None
) -> None:
    if distances.ndim != 2 or 0 in distances.shape:
        raise UserError(f"distances must be a matrix (queries, gallery) with entries, got the shape {distances.shape}")
    for name, ids, length in (
        ("query_ids", query_ids, distances.shape[0]),
        ("gallery_ids", gallery_ids, distances.shape[1]),
    ):
        if ids.shape != (length,):
            raise UserError(f"{name} must have the shape ({length},) for distances {distances.shape}, got {ids.shape}")
    if junk is not None and (junk.shape != distances.shape or junk.dtype != bool):
        raise UserError(f"junk must be bool {distances.shape}, got {junk.dtype} {junk.shape}")


def _check_no_nan(values: np.ndarray, first_row: int) -> None:
    bad = np.isnan(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(
            f"the score of query {first_row + row} and gallery image {column} is not a number (NaN);"
            f" {int(bad.sum())} such entries in these rows: look at the features they were made from"
        )


def _checked_ranks(ranks: Sequence[int]) -> int:
    if not len(ranks) or any(int(rank) != rank or rank < 1 for rank in ranks):
        raise UserError(f"ranks must be whole numbers from 1 on, got {ranks!r}")
    return int(max(ranks))
