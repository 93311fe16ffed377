"""Paired bootstrap over queries: confidence intervals of the differences of two rows of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vireid.core.rng import numpy_generator
from vireid.evaluation.report import MAIN_METRICS
from vireid.runs.results import SavedQueries, read_queries

SAMPLES = 2000
LEVEL = 0.95
_STREAM = 0x424F4F54  # stream of the random generator, combined with the seed


@dataclass(frozen=True)
class Difference:
    """Mean of a metric in one row minus that in another, in [-1, 1], with a confidence interval of `LEVEL`."""

    metric: str
    value: float
    low: float
    high: float
    queries: int

    @property
    def includes_zero(self) -> bool:
        """Whether the interval contains zero."""
        return self.low <= 0 <= self.high


def differences(
    one: Sequence[Path], other: Sequence[Path], protocol: str, *, samples: int = SAMPLES, seed: int = 0
) -> list[Difference]:
    """Compute the difference of two rows for each of `MAIN_METRICS`, with a percentile interval.

    The two values of a query are resampled together, so difficulty that both rows share cancels. The interval is that
    of the choice of queries; it does not include the variance over training seeds.

    Args:
        one: `queries.npz` of the seeds of the first row.
        other: Those of the second row.
        protocol: The protocol to compare.
        samples: Number of bootstrap samples.
        seed: Seed of the bootstrap.

    Raises:
        ValueError: If the rows were evaluated on different queries.
        DataError: If a file is damaged.
    """
    first_files, second_files = ([read_queries(file) for file in files] for files in (one, other))
    if len(listings([*first_files, *second_files])) > 1:
        raise ValueError("the rows were evaluated on different test listings")
    keys, first = query_means(first_files, protocol)
    other_keys, second = query_means(second_files, protocol)
    if not np.array_equal(keys, other_keys):
        raise ValueError("the rows were evaluated on different queries")
    gains = first - second
    rng = numpy_generator(seed, _STREAM)
    counts = rng.multinomial(len(gains), np.full(len(gains), 1 / len(gains)), size=samples)
    means = counts @ gains / len(gains)  # (samples, metrics)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [
        Difference(metric, float(gains[:, i].mean()), float(low[i]), float(high[i]), len(gains))
        for i, metric in enumerate(MAIN_METRICS)
    ]


def query_means(files: Sequence[SavedQueries], protocol: str) -> tuple[np.ndarray, np.ndarray]:
    """Average the scores of each query over trials and seeds; queries that no trial counts are left out.

    Returns:
        Row of the test set and identity (Q, 2) int64; scores (Q, 3) in the order of `MAIN_METRICS`.

    Raises:
        ValueError: If a file does not have the protocol, or the files have different queries.
    """
    if len(listings(files)) > 1:
        raise ValueError("the files are of different test listings")
    tables = []
    for file in files:
        if protocol not in file.tables:
            raise ValueError(f"a run has no scores of the queries of protocol {protocol}")
        saved = file.tables[protocol]
        counted = saved.counted.astype(np.float64)
        hits = (saved.first == 1) & (counted > 0)
        columns = [hits, saved.average_precision, saved.inverse_negative_penalty]
        totals = np.stack([(column * counted).sum(axis=0) for column in columns], axis=1)
        times = counted.sum(axis=0)
        keys = np.stack([saved.row, saved.identity], axis=1)[times > 0]
        tables.append((keys, totals[times > 0] / times[times > 0, None]))
    keys = tables[0][0]
    if any(not np.array_equal(keys, other) for other, _ in tables):
        raise ValueError("the files have different queries")
    return keys, np.mean([values for _, values in tables], axis=0)


def listings(files: Sequence[SavedQueries]) -> set[str]:
    """Return the digests of the test listings; files of older versions do not have one."""
    return {file.listing for file in files} - {""}
