"""Time of the metrics from a distance matrix, against the usual form: a loop over queries with a full argsort each.

    python benchmarks/evaluation_speed.py --repeats 15 --json benchmarks/results/evaluation_speed.json

Sizes: SYSU-MM01 all-search single-shot and 10-shot, and RegDB. Both forms are timed in the same run and must give the
same scores; times are medians in seconds, from float32 distances in memory to scores.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vireid.core.errors import guarded
from vireid.evaluation import evaluate_distances
from vireid.evaluation.rules import RULES


@dataclass(frozen=True)
class Size:
    protocol: str
    queries: int
    gallery: int
    identities: int
    query_cameras: tuple[int, ...]
    gallery_cameras: tuple[int, ...]


SIZES = (
    Size("sysu", 3803, 301, 96, (3, 6), (1, 2, 4, 5)),
    Size("sysu", 3803, 3010, 96, (3, 6), (1, 2, 4, 5)),
    Size("regdb", 2060, 2060, 206, (1,), (2,)),
)


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


def loop_over_queries(
    distances: np.ndarray,
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_cameras: np.ndarray,
    protocol: str,
) -> tuple[float, float, float]:
    """Rank-1, mAP and mINP in the usual form."""
    rule = RULES[protocol]
    junk = rule.junk(query_ids, query_cameras, gallery_ids, gallery_cameras) if rule.junk else None
    order = np.argsort(distances, axis=1, kind="stable")
    first, precisions, penalties = [], [], []
    for q in range(len(distances)):
        ranked = order[q] if junk is None else order[q][~junk[q][order[q]]]
        match = gallery_ids[ranked] == query_ids[q]
        if not match.any():
            continue
        if rule.cmc == "identity":
            _, firsts = np.unique(gallery_ids[ranked], return_index=True)
            first.append(bool(match[np.sort(firsts)][0]))
        else:
            first.append(bool(match[0]))
        places = np.flatnonzero(match) + 1
        precisions.append(float((np.arange(1, len(places) + 1) / places).mean()))
        penalties.append(len(places) / places[-1])
    return float(np.mean(first)), float(np.mean(precisions)), float(np.mean(penalties))


def seconds(function: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compare(size: Size, repeats: int) -> dict[str, Any]:
    arguments = problem(size)
    scores, plain = evaluate_distances(**arguments), loop_over_queries(**arguments)
    np.testing.assert_allclose((scores.rank(1), scores.mean_ap, scores.mean_inp), plain, atol=1e-9)
    ours = seconds(lambda: evaluate_distances(**arguments), repeats)
    loop = seconds(lambda: loop_over_queries(**arguments), max(1, repeats // 5))
    return {**asdict(size), "ours_s": round(ours, 5), "loop_s": round(loop, 5), "ratio": round(loop / ours, 1)}


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="time the metrics against a loop over queries")
    parser.add_argument("--repeats", type=int, default=15, help="runs of ours; the loop runs a fifth as often")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    options = parser.parse_args(argv)
    results = [compare(size, options.repeats) for size in SIZES]
    print(f"{'protocol':10}{'queries':>9}{'gallery':>9}{'ours s':>10}{'loop s':>10}{'ratio':>8}")
    for row in results:
        print(
            f"{row['protocol']:10}{row['queries']:9}{row['gallery']:9}"
            f"{row['ours_s']:10.4f}{row['loop_s']:10.3f}{row['ratio']:8.1f}"
        )
    if options.json:
        record = {
            "command": f"python benchmarks/evaluation_speed.py --repeats {options.repeats} --json {options.json}",
            "threads": torch.get_num_threads(),
            "versions": {"python": platform.python_version(), "numpy": np.__version__, "torch": str(torch.__version__)},
            "results": results,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
