"""Is the difference of two rows more than the choice of queries? A paired bootstrap over the queries both answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vireid.core.rng import numpy_generator

SAMPLES = 2000
LEVEL = 0.95
METRICS = ("rank1", "mAP", "mINP")
_STREAM = 0x424F4F54  # key of these draws beside the seed


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
        return self.low <= 0 <= self.high


def query_means(files: Sequence[Path], protocol: str) -> tuple[np.ndarray, np.ndarray]:
    """What each query scored on average over trials and seeds: `queries.npz` files of one row -> keys and values.

    Shapes: (Q, 2) int64, row of the test set and identity; (Q, 3) in the order of METRICS. Queries that no trial counts
    are left out. Two files with other queries are no two seeds of one row: ValueError.
    """
    if len(listings(files)) > 1:
        raise ValueError("the files are of different test listings")
    tables = []
    for file in files:
        with np.load(file, allow_pickle=False) as saved:
            counted = saved[f"{protocol}/counted"].astype(np.float64)
            hits = (saved[f"{protocol}/first"] == 1) & (counted > 0)
            columns = [hits, saved[f"{protocol}/average_precision"], saved[f"{protocol}/inverse_penalty"]]
            totals = np.stack([(column * counted).sum(axis=0) for column in columns], axis=1)
            times = counted.sum(axis=0)
            keys = np.stack([saved[f"{protocol}/row"], saved[f"{protocol}/id"]], axis=1)[times > 0]
            tables.append((keys, totals[times > 0] / times[times > 0, None]))
    keys = tables[0][0]
    if any(not np.array_equal(keys, other) for other, _ in tables):
        raise ValueError("the files hold different queries")
    return keys, np.mean([values for _, values in tables], axis=0)


def listings(files: Sequence[Path]) -> set[str]:
    """Digests of the test listings of `queries.npz` files; files of older versions do not have one."""
    found = set()
    for file in files:
        with np.load(file, allow_pickle=False) as saved:
            if "listing" in saved.files:
                found.add(str(saved["listing"]))
    return found


def differences(
    one: Sequence[Path], other: Sequence[Path], protocol: str, *, samples: int = SAMPLES, seed: int = 0
) -> list[Difference]:
    """One row minus another, for each of METRICS; files are those of the row's seeds.

    Both values of a query are drawn together, so that what is hard for both cancels. The interval says how far the
    difference depends on which people were asked for; it does not know of other seeds than those that were run.
    Errors: ValueError where the rows were not asked the same queries.
    """
    if len(listings([*one, *other])) > 1:
        raise ValueError("the rows were evaluated on different test listings")
    keys, first = query_means(one, protocol)
    others, second = query_means(other, protocol)
    if not np.array_equal(keys, others):
        raise ValueError("the rows were asked different queries")
    gains = first - second
    rng = numpy_generator(seed, _STREAM)
    drawn = rng.multinomial(len(gains), np.full(len(gains), 1 / len(gains)), size=samples)
    means = drawn @ gains / len(gains)  # (samples, metrics)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [
        Difference(metric, float(gains[:, i].mean()), float(low[i]), float(high[i]), len(gains))
        for i, metric in enumerate(METRICS)
    ]
