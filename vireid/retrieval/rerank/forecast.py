"""How long a re-ranking will take and what memory, said before a long one starts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from scipy.optimize import nnls

TRIED = (600, 1800)  # images of the two short runs that the forecast is made from
LARGE = 6000  # images below which nothing is said: it takes seconds
Run = Callable[[np.ndarray, np.ndarray], object]


def announce(
    what: str, run: Run, queries: np.ndarray, gallery: np.ndarray, *, powers: tuple[int, int], memory: int
) -> None:
    """Print the time that `run` will take and its memory in bytes, where there are many images."""
    if len(queries) + len(gallery) >= LARGE:
        duration = _duration(seconds(run, queries, gallery, powers))
        sizes = f"{len(queries)} queries, {len(gallery)} gallery images"
        print(f"{what}: {sizes}: about {duration} and {memory / 1e9:.1f} GB", file=sys.stderr, flush=True)


def seconds(run: Run, queries: np.ndarray, gallery: np.ndarray, powers: tuple[int, int]) -> float:
    """Time of `run` on everything, from its times on two thinned sets: it grows as a x^p + b x^q with the images."""
    total = len(queries) + len(gallery)
    measured = []
    for number in TRIED:
        thin = [rows[:: max(1, round(total / number))] for rows in (queries, gallery)]
        measured.append((sum(map(len, thin)) / total, min(_timed(run, *thin) for _ in range(2))))
    shares, times = np.array(measured).T
    factors, _ = nnls(np.stack([shares**power for power in powers], axis=1), times)
    return float(factors.sum())


def _timed(run: Run, queries: np.ndarray, gallery: np.ndarray) -> float:
    start = time.perf_counter()
    run(queries, gallery)
    return time.perf_counter() - start


def _duration(value: float) -> str:
    """
    >>> _duration(7.2), _duration(200)
    ('7 s', '3.3 min')
    """
    return f"{value:.0f} s" if value < 90 else f"{value / 60:.1f} min"
