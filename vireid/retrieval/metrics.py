"""CMC, mAP and mINP of cross-modality retrieval: pure functions of distances, identities and a junk mask.

With r_1 < ... < r_n the places of a query's correct images among the counted ones, AP = mean(k / r_k) and
INP = n / r_n; `places.py` finds the places without a loop over queries.

Equal distances are ordered by gallery row: the place of a correct image is the number of counted images that are
nearer, plus the counted ones at the same distance that stand in an earlier row, plus one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch

from vireid.core.errors import DataError, UserError, nearest
from vireid.core.label_arrays import comparable_labels
from vireid.retrieval.places import Groups, Junk, Matrix, Worker

Cmc = Literal["identity", "image"]
EXACT = 2**53  # every whole number up to it has a float64 of its own
LONGEST = 1_000_000  # the largest rank of a CMC curve
CHUNK = 1 << 18  # matrix entries that are worked on at a time: they stay in the cache of a core
SHARED = 1 << 20  # the same where several threads work: long steps, so that they seldom wait for the interpreter


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
    inverse_negative_penalty: np.ndarray  # (Q,)
    chance: np.ndarray  # (Q,) share of correct images among the counted ones


def measure(
    distances: np.ndarray,
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    *,
    junk: Junk | None = None,
    cmc: Cmc = "identity",
    ranks: Sequence[int] = (1, 5, 10, 20),
    larger_is_closer: bool = False,
) -> Scores:
    """CMC, mAP and mINP over all queries.

    Shapes: (Q, G), (Q,), (G,), junk (Q, G) bool where True is not counted, or a function that makes some of its rows
    when they are needed: a slice of queries -> (b, G) bool.
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
        mean_inp=float(found.inverse_negative_penalty.sum() / counted),
        queries=counted,
        skipped=len(found.counted) - counted,
        chance=float(found.chance.sum() / counted),
        ranks=tuple(int(rank) for rank in ranks),
    )


def measure_queries(
    distances: np.ndarray,
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    *,
    junk: Junk | None = None,
    cmc: Cmc = "identity",
    larger_is_closer: bool = False,
) -> QueryScores:
    """The measurements of each query by itself; arguments as in `measure`."""
    if cmc not in get_args(Cmc):
        raise UserError(f"cmc = {cmc!r} is not one of {get_args(Cmc)}{nearest(cmc, get_args(Cmc))}")
    distances = np.asarray(distances)
    _check_shapes(distances, query_ids, gallery_ids, junk)
    query_ids, gallery_ids = comparable_labels(
        ("query_ids", query_ids), ("gallery_ids", gallery_ids), negative=(True, True)
    )
    if distances.dtype.kind in "iu":
        distances = _float_distances(distances)
    if distances.dtype not in (np.float32, np.float64):
        distances = distances.astype(np.float32 if distances.dtype == np.float16 else np.float64)
    matrix = Matrix(distances, junk, larger_is_closer=larger_is_closer)
    groups = Groups.of(gallery_ids)
    threads = min(torch.get_num_threads(), max(1, distances.size // (2 * SHARED)))
    step = max(1, (CHUNK if threads == 1 else SHARED) // distances.shape[1])
    chunks = [slice(start, min(start + step, len(distances))) for start in range(0, len(distances), step)]
    found: list[tuple[np.ndarray, ...]] = [()] * len(chunks)

    def work(thread: int) -> None:
        worker = Worker(matrix, query_ids, groups, min(step, len(distances)), by_identity=cmc == "identity")
        for at in range(thread, len(chunks), threads):
            found[at] = worker.measure(chunks[at])

    if threads == 1:
        work(0)
    else:
        with ThreadPoolExecutor(threads) as pool:  # numpy lets go of the interpreter while it works
            list(pool.map(work, range(threads)))
    return QueryScores(*(np.concatenate(column) for column in zip(*found)))


def _check_shapes(distances: np.ndarray, query_ids: np.ndarray, gallery_ids: np.ndarray, junk: Junk | None) -> None:
    if distances.ndim != 2 or 0 in distances.shape:
        raise UserError(f"distances must be a matrix (queries, gallery) with entries, got the shape {distances.shape}")
    for name, ids, length in (
        ("query_ids", query_ids, distances.shape[0]),
        ("gallery_ids", gallery_ids, distances.shape[1]),
    ):
        if np.shape(ids) != (length,):
            shape = np.shape(ids)
            raise UserError(f"{name} must have the shape ({length},) for distances {distances.shape}, got {shape}")
    if isinstance(junk, np.ndarray) and (junk.shape != distances.shape or junk.dtype != bool):
        raise UserError(f"junk must be bool {distances.shape}, got {junk.dtype} {junk.shape}")


def _float_distances(distances: np.ndarray) -> np.ndarray:
    """Integer distances as float64 with the same order; integers beyond 2^53 are replaced by their ranks."""
    if distances.dtype.itemsize < 8 or -EXACT <= int(distances.min()) <= int(distances.max()) <= EXACT:
        return distances.astype(np.float64)
    return np.unique(distances, return_inverse=True)[1].reshape(distances.shape).astype(np.float64)


def _checked_ranks(ranks: Sequence[int]) -> int:
    """The largest rank; UserError unless all are whole numbers from 1 to LONGEST."""
    kinds = (int, float, np.integer, np.floating)
    values = list(ranks) if isinstance(ranks, Iterable) and not isinstance(ranks, (str, bytes)) else []
    numbers = all(isinstance(rank, kinds) and not isinstance(rank, bool) for rank in values)
    if not values or not numbers or not all(rank >= 1 and rank % 1 == 0 for rank in values):
        raise UserError(f"ranks must be whole numbers from 1 on, got {ranks!r}")
    if max(values) > LONGEST:
        raise UserError(f"ranks must be at most {LONGEST}, the longest CMC curve that is kept, got {ranks!r}")
    return int(max(values))
