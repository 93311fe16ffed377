"""Time of the metrics from a distance matrix, compared with two loops over queries.

    python benchmarks/speed/retrieval_metrics.py --json benchmarks/results/retrieval_metrics.json

- `plain`: a loop over queries as in the releases, with the precision at each rank.
- `numpy`: an optimized loop over queries, which uses only the ranks of the correct images.

All three get float32 distances and must give the same scores. Sizes: the protocols of SYSU-MM01 (one and ten images),
RegDB and LLCM (with about three cameras for each identity), and each with ten times the queries. Times are medians in
seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vireid.core.errors import guarded
from vireid.core.paths import path_argument
from vireid.evaluation import evaluate_distances
from vireid.evaluation.junk import RULES

RESULTS = Path(__file__).parents[1] / "results" / "retrieval_metrics.json"
LONG = 10.0  # seconds; what takes longer is run once


@dataclass(frozen=True)
class Size:
    protocol: str
    queries: int
    gallery: int
    identities: int
    query_cameras: tuple[int, ...]
    gallery_cameras: tuple[int, ...]


PUBLISHED = (
    Size("sysu", 3803, 301, 96, (3, 6), (1, 2, 4, 5)),
    Size("sysu", 3803, 3010, 96, (3, 6), (1, 2, 4, 5)),
    Size("regdb", 2060, 2060, 206, (1,), (2,)),
    Size("llcm", 7166, 1053, 351, (1, 2, 4, 5, 6, 7, 8, 9), tuple(range(1, 10))),
)
SIZES = (*PUBLISHED, *(replace(size, queries=10 * size.queries) for size in PUBLISHED))


def problem(size: Size, seed: int = 0) -> dict[str, Any]:
    """Arguments of `evaluate_distances`: identities and cameras in the order of the protocol's lists, correct images a
    little nearer than others."""
    rng = np.random.default_rng(seed)

    def side(number: int, cameras: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        ids, seen = np.sort(np.arange(number) % size.identities), rng.choice(cameras, number)
        order = np.lexsort((seen, ids))
        return ids[order], seen[order]

    query_ids, query_cameras = side(size.queries, size.query_cameras)
    gallery_ids, gallery_cameras = side(size.gallery, size.gallery_cameras)
    distances = rng.random((size.queries, size.gallery), dtype=np.float32)
    distances[query_ids[:, None] == gallery_ids[None]] -= 0.3
    return {
        "distances": distances,
        "query_ids": query_ids,
        "gallery_ids": gallery_ids,
        "query_cameras": query_cameras,
        "gallery_cameras": gallery_cameras,
        "protocol": size.protocol,
    }


def ranked_galleries(
    distances: np.ndarray,
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_cameras: np.ndarray,
    protocol: str,
) -> Iterator[tuple[int, np.ndarray]]:
    """Each query's identity and the identities of its counted gallery, nearest first."""
    rule = RULES[protocol]
    for q, own in enumerate(query_ids):
        order = np.argsort(distances[q], kind="stable")
        if rule.junk:
            one = slice(q, q + 1)
            order = order[~rule.junk(query_ids[one], query_cameras[one], gallery_ids[order], gallery_cameras[order])[0]]
        yield own, gallery_ids[order]


def plain_loop(**arguments: Any) -> tuple[float, float, float]:
    """Rank-1, mAP and mINP as the releases get them: one precision after the other, at every place of every list."""
    by_identity = RULES[arguments["protocol"]].cmc == "identity"
    first, precisions, penalties = [], [], []
    for own, ranked in ranked_galleries(**arguments):
        match = (ranked == own).astype(np.int32)
        if not match.any():
            continue
        found = match
        if by_identity:
            _, firsts = np.unique(ranked, return_index=True)
            found = (np.asarray([ranked[i] for i in sorted(firsts)]) == own).astype(np.int32)
        first.append(found.cumsum()[0])
        hits = match.cumsum()
        precision = np.asarray([hit / (place + 1.0) for place, hit in enumerate(hits)]) * match
        precisions.append(precision.sum() / match.sum())
        last = np.flatnonzero(match).max()
        penalties.append(hits[last] / (last + 1.0))
    return float(np.mean(first)), float(np.mean(precisions)), float(np.mean(penalties))


def numpy_loop(**arguments: Any) -> tuple[float, float, float]:
    """The same from the places of the correct images."""
    by_identity = RULES[arguments["protocol"]].cmc == "identity"
    first, precisions, penalties = [], [], []
    for own, ranked in ranked_galleries(**arguments):
        match = ranked == own
        if not match.any():
            continue
        if by_identity:
            _, firsts = np.unique(ranked, return_index=True)
            first.append(bool(match[np.sort(firsts)][0]))
        else:
            first.append(bool(match[0]))
        places = np.flatnonzero(match) + 1
        precisions.append(float((np.arange(1, len(places) + 1) / places).mean()))
        penalties.append(len(places) / places[-1])
    return float(np.mean(first)), float(np.mean(precisions)), float(np.mean(penalties))


def seconds(function: Callable[[], Any], repeats: int) -> tuple[Any, float]:
    """What it gives, and the median time."""
    times: list[float] = []
    result = None
    while len(times) < repeats and sum(times) < LONG:
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return result, statistics.median(times)


def compare(size: Size, repeats: int) -> dict[str, Any]:
    arguments = problem(size)
    evaluate_distances(**arguments)  # threads are there
    scores, ours = seconds(lambda: evaluate_distances(**arguments), repeats)
    found = {}
    for name, loop in (("plain", plain_loop), ("numpy", numpy_loop)):
        expected, found[name] = seconds(partial(loop, **arguments), max(1, repeats // 5))
        np.testing.assert_allclose((scores.rank(1), scores.mean_ap, scores.mean_inp), expected, atol=1e-7)
    return {
        **asdict(size),
        "ours_s": round(ours, 5),
        **{f"{name}_s": round(loop, 4) for name, loop in found.items()},
        **{f"{name}_ratio": round(loop / ours, 1) for name, loop in found.items()},
    }


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="time the metrics against loops over queries")
    parser.add_argument("--repeats", type=int, default=15, help="runs of ours; the loops run a fifth as often")
    parser.add_argument("--json", type=path_argument, help="also write the results to this file")
    options = parser.parse_args(argv)
    print(f"{'protocol':10}{'queries':>9}{'gallery':>9}{'ours s':>10}{'plain s':>10}{'numpy s':>10}{'ratios':>16}")
    results = []
    for size in SIZES:
        row = compare(size, options.repeats)
        results.append(row)
        print(
            f"{row['protocol']:10}{row['queries']:9}{row['gallery']:9}{row['ours_s']:10.4f}{row['plain_s']:10.3f}"
            f"{row['numpy_s']:10.3f}{row['plain_ratio']:8.1f}{row['numpy_ratio']:8.1f}",
            flush=True,
        )
    if options.json:
        record = {
            "command": "python benchmarks/speed/retrieval_metrics.py"
            f" --repeats {options.repeats} --json {options.json}",
            "threads": torch.get_num_threads(),
            "cores": os.cpu_count(),
            "versions": {"python": platform.python_version(), "numpy": np.__version__, "torch": str(torch.__version__)},
            "results": results,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
