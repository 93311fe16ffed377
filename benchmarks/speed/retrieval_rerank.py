"""Time and memory of k-reciprocal re-ranking, compared with a direct implementation (N x N matrices, loops).

    python benchmarks/speed/retrieval_rerank.py --json benchmarks/results/retrieval_rerank.json

The direct implementation, below, runs at 3,000 images in the same run: in half precision, as the matrices of the
releases of HCT, MMD and MCE, and in single precision, where its result must be equal. Half of the images are queries.
Embeddings are clusters with 512 dimensions (`retrieval_features.py`). Times are wall-clock seconds; at 3,000 images the
median of eleven repeats. Peak memory is that of a process for each size.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
from retrieval_features import conditions, draw

from vireid.core.errors import guarded
from vireid.core.paths import path_argument
from vireid.retrieval import KReciprocal

SIZES = (3_000, 10_000, 30_000)
PLAIN = 3_000
WIDTH = 512


def plain(queries: np.ndarray, gallery: np.ndarray, kept: type, k1: int = 20, k2: int = 6, weight: float = 0.3):
    """The form of the releases, call by call (distances, smaller is closer), with matrices of this precision."""
    rows, asking = np.concatenate([queries, gallery]), len(queries)
    squares = (rows**2).sum(axis=1)
    apart = np.maximum(squares[:, None] + squares[None] - 2 * rows @ rows.T, 0)
    np.fill_diagonal(apart, 0)
    apart = (apart / apart.max(axis=1, keepdims=True)).astype(kept)
    order = np.argsort(apart, axis=1)
    codes = np.zeros_like(apart)

    def mutual(i: int, k: float) -> np.ndarray:
        near = order[i, : int(np.around(k)) + 1]
        return near[np.where(order[near, : int(np.around(k)) + 1] == i)[0]]

    for i in range(len(rows)):
        own = mutual(i, k1)
        expanded = own
        for j in own:
            others = mutual(j, k1 / 2)
            if len(np.intersect1d(others, own)) > 2 / 3 * len(others):
                expanded = np.append(expanded, others)
        expanded = np.unique(expanded)
        near = np.exp(-apart[i, expanded])
        codes[i, expanded] = near / near.sum()
    codes = np.stack([codes[order[i, :k2]].mean(axis=0) for i in range(len(rows))])
    named = [np.where(codes[:, i] != 0)[0] for i in range(len(rows))]
    jaccard = np.zeros((asking, len(rows)), kept)
    for i in range(asking):
        shared = np.zeros(len(rows), kept)
        for j in np.where(codes[i] != 0)[0]:
            shared[named[j]] += np.minimum(codes[i, j], codes[named[j], j])
        jaccard[i] = 1 - shared / (2 - shared)
    return ((1 - weight) * jaccard + weight * apart[:asking])[:, asking:]


def measure(size: int) -> dict[str, float | int]:
    """One size in this process."""
    rows = draw(size, WIDTH)
    queries, gallery = rows[::2], rows[1::2]
    KReciprocal()(queries[:200], gallery[:200])  # libraries are loaded
    taken, ours = [], None
    for _ in range(11 if size <= PLAIN else 1):
        start = time.perf_counter()
        ours = KReciprocal()(queries, gallery)
        taken.append(time.perf_counter() - start)
    assert ours is not None
    result: dict[str, float | int] = {"images": size, "ours_s": round(statistics.median(taken), 4)}
    result["peak_memory_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
    if size <= PLAIN:
        for name, kept in (("half", np.float16), ("single", np.float32)):
            start = time.perf_counter()
            expected = plain(queries, gallery, kept)
            result[f"plain_{name}_s"] = round(time.perf_counter() - start, 3)
            result[f"plain_{name}_ratio"] = round((time.perf_counter() - start) / statistics.median(taken), 1)
        off = np.abs(-ours - expected)
        result["entries_that_differ"] = round(float((off > 1e-4).mean()), 6)  # neighbors with almost equal distances
        assert np.quantile(off, 0.99) < 1e-4, "the two forms differ"
    return result


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument(
        "--json", type=path_argument, help="keep the results in this file; sizes that it has are passed over"
    )
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.one:
        print(json.dumps(measure(options.one)))
        return 0
    results = json.loads(options.json.read_text())["results"] if options.json and options.json.exists() else []
    for size in options.sizes:
        if any(result["images"] == size for result in results):
            continue
        command = [sys.executable, __file__, "--one", str(size)]
        results.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
        print(json.dumps(results[-1]), flush=True)
        if options.json:
            record = {"command": "python benchmarks/speed/retrieval_rerank.py", **conditions(), "results": results}
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    torch.manual_seed(0)
    raise SystemExit(main())
