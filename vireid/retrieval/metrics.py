"""CMC, mAP and mINP of cross-modality retrieval: pure functions of distances, identities and a junk mask.

With r_1 < ... < r_n the ranks of the correct images of a query among the gallery images that are not ignored,
AP = mean(k / r_k) and INP = n / r_n. CMC at rank k is the share of queries with a correct image (or identity) among the
first k. `metrics_reference.py` has the same metrics as plain loops; `places.py` computes the ranks without a loop over
queries.

Equal distances are ordered by gallery row: the rank of a correct image is one plus the number of images that are nearer
or have the same distance and an earlier row, ignored images left out.
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
EXACT = 2**53  # every integer up to it is a float64
MAX_RANK = 1_000_000  # the longest CMC curve
CHUNK = 1 << 18  # matrix entries that one thread works on at a time: they stay in the cache of a core
SHARED = 1 << 20  # the same with several threads: long steps, so that they seldom wait for the interpreter lock


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over the evaluated queries, in [0, 1]."""

    cmc: np.ndarray  # (max(ranks),) in [0, 1]; entry k - 1 is rank k
    mean_ap: float
    mean_inp: float
    queries: int  # evaluated queries
    skipped: int  # queries without a correct gallery image that is not ignored; they are in no mean
    chance: float  # expected rank-1 of a gallery in random order
    ranks: tuple[int, ...] = (1, 5, 10, 20)  # ranks to print

    def rank(self, k: int) -> float:
        """Return the CMC value at rank k."""
        if not 1 <= k <= len(self.cmc):
            raise UserError(
                f"rank {k} is outside the CMC curve, which has the ranks 1 to {len(self.cmc)}: add the rank to `ranks`"
            )
        return float(self.cmc[k - 1])


@dataclass(frozen=True, slots=True)
class QueryScores:
    """The metrics of each query; zero where `counted` is False."""

    counted: np.ndarray  # (Q,) bool: has a correct gallery image that is not ignored
    first: np.ndarray  # (Q,) int64: rank of the first correct image, or of its identity; from 1
    average_precision: np.ndarray  # (Q,)
    inverse_negative_penalty: np.ndarray  # (Q,)
    chance: np.ndarray  # (Q,) share of correct images among those that are not ignored


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
    """Compute CMC, mAP and mINP over all queries.

    Args:
        distances: Distances (Q, G); similarities if `larger_is_closer`.
        query_ids: Identities (Q,).
        gallery_ids: Identities (G,).
        junk: Pairs that are ignored: (Q, G) bool, or a function that computes some of its rows when they are needed,
            from a slice of queries to (b, G) bool.
        cmc: "identity" ranks the distinct identities by their nearest image, "image" ranks the images.
        ranks: Ranks to print; the curve reaches the largest.
        larger_is_closer: `distances` are similarities.

    Raises:
        UserError: For shapes, types and names that do not fit.
        DataError: If a distance is NaN, or no query has a correct gallery image that is not ignored.

    Source:
        `eval_sysu`, `eval_regdb` and `eval_llcm` in the release of AGW (Ye et al., "Deep Learning for Person
        Re-identification: A Survey and Outlook", TPAMI 2021).

    Departs:
        Equal distances are ordered by gallery row (the release: as the sort of the platform happens to). The curve has
        max(ranks) entries, padded with the last value (the release: one for each gallery image, and an error if queries
        have different numbers of identities). As in the release, queries without a correct image are in no mean.

    Example:
        >>> scores = measure(np.array([[0.1, 0.3, 0.2]]), np.array([7]), np.array([5, 7, 7]), ranks=(1, 2))
        >>> scores.cmc.tolist(), round(scores.mean_ap, 4), round(scores.mean_inp, 4)
        ([0.0, 1.0], 0.5833, 0.6667)
    """
    _check_ranks(ranks)
    queries = measure_queries(distances, query_ids, gallery_ids, junk=junk, cmc=cmc, larger_is_closer=larger_is_closer)
    return summarize(queries, ranks)


def summarize(queries: QueryScores, ranks: Sequence[int] = (1, 5, 10, 20)) -> Scores:
    """Average over the evaluated queries.

    Raises:
        DataError: If no query is evaluated.
    """
    longest = _check_ranks(ranks)
    counted = int(queries.counted.sum())
    if counted == 0:
        raise DataError(
            f"none of the {len(queries.counted)} queries has a correct image in the gallery"
            " after ignored (junk) images are removed: check the identities and cameras"
        )
    firsts = np.bincount(queries.first[queries.counted], minlength=longest + 1)[1 : longest + 1]
    return Scores(
        cmc=firsts.cumsum() / counted,
        mean_ap=float(queries.average_precision.sum() / counted),
        mean_inp=float(queries.inverse_negative_penalty.sum() / counted),
        queries=counted,
        skipped=len(queries.counted) - counted,
        chance=float(queries.chance.sum() / counted),
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
    """Compute the metrics of each query; arguments as in `measure`.

    >>> queries = measure_queries(np.array([[0.1, 0.3, 0.2]]), np.array([7]), np.array([5, 7, 7]))
    >>> queries.first.tolist(), queries.inverse_negative_penalty.round(4).tolist()
    ([2], [0.6667])
    """
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
    columns: list[tuple[np.ndarray, ...]] = [()] * len(chunks)

    def work(thread: int) -> None:
        worker = Worker(matrix, query_ids, groups, min(step, len(distances)), by_identity=cmc == "identity")
        for at in range(thread, len(chunks), threads):
            columns[at] = worker.measure(chunks[at])

    if threads == 1:
        work(0)
    else:
        with ThreadPoolExecutor(threads) as pool:  # NumPy releases the interpreter lock
            list(pool.map(work, range(threads)))
    return QueryScores(*(np.concatenate(column) for column in zip(*columns)))


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
    """Convert integer distances to float64 in the same order; integers beyond 2^53 are replaced by their ranks."""
    if distances.dtype.itemsize < 8 or -EXACT <= int(distances.min()) <= int(distances.max()) <= EXACT:
        return distances.astype(np.float64)
    return np.unique(distances, return_inverse=True)[1].reshape(distances.shape).astype(np.float64)


def _check_ranks(ranks: Sequence[int]) -> int:
    """Return the largest rank; UserError unless all are integers from 1 to MAX_RANK."""
    kinds = (int, float, np.integer, np.floating)
    values = list(ranks) if isinstance(ranks, Iterable) and not isinstance(ranks, (str, bytes)) else []
    numbers = all(isinstance(rank, kinds) and not isinstance(rank, bool) for rank in values)
    if not values or not numbers or not all(rank >= 1 and rank % 1 == 0 for rank in values):
        raise UserError(f"ranks must be integers from 1 on, got {ranks!r}")
    if max(values) > MAX_RANK:
        raise UserError(f"ranks must be at most {MAX_RANK}, got {ranks!r}")
    return int(max(values))
