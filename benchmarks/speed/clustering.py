"""Time and memory of clustering training images without labels: Jaccard distance and DBSCAN, with the settings of ADCA.

    OMP_NUM_THREADS=2 python benchmarks/speed/clustering.py --json benchmarks/results/clustering.json

Embeddings are drawn around random centers: images of a cluster have a cosine similarity of about 0.6 to each other, and
one image in ten belongs to no cluster. Clusters have 4 to 80 images. Rows have the norm 0.95, as means of two unit
embeddings. Each size runs in a process of its own, so that peak memory, which includes the embeddings and the
libraries, is that of the size. At up to 3,000 images the result in float64 must be equal to that of N x N matrices and
scikit-learn's DBSCAN.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import version

import numpy as np
import torch

from vireid.clustering import adjusted_rand_index, dbscan, jaccard_graph
from vireid.core.errors import guarded
from vireid.core.paths import path_argument

SIZES = (3_000, 12_000, 34_000)
PLAIN = 3_000
WIDTH = 2_048
SETTINGS = {"eps": 0.6, "min_samples": 4, "k1": 30, "k2": 6}  # ADCA and PGM on SYSU-MM01
SIMILARITY, NORM, ALONE = 0.6, 0.95, 0.1


def draw(number: int, width: int = WIDTH, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(N, D) float32 rows in random order, and the number of the cluster of each, -1 for images of no cluster."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    sizes = rng.integers(4, 81, number)
    true = np.repeat(np.arange(number), sizes)[: round(number * (1 - ALONE))]
    true = rng.permutation(np.concatenate([true, np.full(number - len(true), -1)]))
    centers = torch.nn.functional.normalize(torch.randn(int(true.max()) + 1, width, generator=generator))
    rows = torch.nn.functional.normalize(torch.randn(number, width, generator=generator)).mul_((1 - SIMILARITY) ** 0.5)
    clustered = torch.from_numpy(np.flatnonzero(true >= 0))
    rows[clustered] += SIMILARITY**0.5 * centers[torch.from_numpy(true[true >= 0])]
    return torch.nn.functional.normalize(rows).mul_(NORM).numpy(), true


def plain(rows: np.ndarray, k1: int, k2: int) -> np.ndarray:
    """The (N, N) Jaccard distances in the form of the release, with matrices and loops."""
    number = len(rows)
    squares = (rows**2).sum(axis=1)
    apart = squares[:, None] + squares[None] - 2 * rows @ rows.T
    np.fill_diagonal(apart, 0)
    order = np.argsort(apart, axis=1, kind="stable")[:, :k1]

    def mutual(k: int) -> list[np.ndarray]:
        return [near[:k][(order[near[:k], :k] == i).any(axis=1)] for i, near in enumerate(order)]

    members, inner = mutual(k1), mutual(round(k1 / 2) + 1)
    codes = np.zeros_like(apart)
    for i, near in enumerate(members):
        parts = [inner[j] for j in near if len(np.intersect1d(inner[j], near)) > 2 / 3 * len(inner[j])]
        expanded = np.unique(np.concatenate([near, *parts]))
        weights = np.exp(2 * rows[expanded] @ rows[i])
        codes[i, expanded] = weights / weights.sum()
    codes = np.stack([codes[near[:k2]].mean(axis=0) for near in order])
    having = [np.flatnonzero(column) for column in codes.T]
    distance = np.zeros_like(apart)
    for i in range(number):
        shared = np.zeros(number, rows.dtype)
        for j in np.flatnonzero(codes[i]):
            shared[having[j]] += np.minimum(codes[i, j], codes[having[j], j])
        distance[i] = np.maximum(1 - shared / (2 - shared), 0)
    return distance


def measure(size: int) -> dict[str, float | int]:
    """One size in this process."""
    rows, true = draw(size)
    graph_settings = {key: SETTINGS[key] for key in ("eps", "k1", "k2")}
    jaccard_graph(rows[:200], **graph_settings)  # libraries are loaded
    start = time.perf_counter()
    graph = jaccard_graph(rows, **graph_settings)
    middle = time.perf_counter()
    labels = dbscan(graph, min_samples=SETTINGS["min_samples"])
    end = time.perf_counter()
    both = (labels >= 0) & (true >= 0)
    result: dict[str, float | int] = {
        "images": size,
        "jaccard_s": round(middle - start, 2),
        "dbscan_s": round(end - middle, 2),
        "total_s": round(end - start, 2),
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "near_pairs": int(graph.nnz),
        "clusters": int(labels.max()) + 1,
        "true_clusters": int(true.max()) + 1,
        "outliers": int((labels < 0).sum()),
        "true_outliers": int((true < 0).sum()),
        "adjusted_rand_index": round(adjusted_rand_index(labels[both], true[both]), 4),
    }
    if size <= PLAIN:
        from sklearn.cluster import DBSCAN

        start = time.perf_counter()
        distance = plain(rows.astype(np.float64), SETTINGS["k1"], SETTINGS["k2"])
        cluster = DBSCAN(eps=SETTINGS["eps"], min_samples=SETTINGS["min_samples"], metric="precomputed")
        reference = cluster.fit_predict(distance)
        result["plain_s"] = round(time.perf_counter() - start, 2)
        exact = jaccard_graph(rows.astype(np.float64), **graph_settings)
        stored = exact.tocoo()
        assert exact.nnz == (distance <= SETTINGS["eps"]).sum(), "the near pairs differ"
        assert np.allclose(stored.data, distance[stored.row, stored.col], rtol=0, atol=1e-9), "the two forms differ"
        assert (dbscan(exact, min_samples=SETTINGS["min_samples"]) == reference).all(), "the labels differ"
        result["float32_labels_that_differ"] = int((labels != reference).sum())
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
            versions = {name: version(name) for name in ("numpy", "scipy", "torch", "scikit-learn")}
            record = {
                "command": "python benchmarks/speed/clustering.py",
                "settings": {**SETTINGS, "width": WIDTH, "similarity": SIMILARITY},
                "threads": torch.get_num_threads(),
                "cores": os.cpu_count(),
                "machine": platform.machine(),
                "versions": {"python": platform.python_version(), **versions},
                "results": results,
            }
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    torch.manual_seed(0)
    raise SystemExit(main())
