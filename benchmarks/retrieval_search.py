"""Search by every index: time to build, memory, time of a query, recall against the exact answer.

    python benchmarks/retrieval_search.py --json benchmarks/results/retrieval_search.json
    python benchmarks/retrieval_search.py --sizes 1000000 --widths 512 --backends "IVF, 32 probes"

Each (number of vectors, width, backend) is a piece of its own, in a process of its own, kept in the JSON file as it is
done; pieces that are there are passed over. The exact search is timed again in each piece, so a ratio compares two
times of one run. Times are seconds of the processor, all threads together: the machine may have other work. Memory is
the size of the index as a file. Features: `retrieval_features.py`. Queries are not in the gallery, their people are.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from retrieval_features import conditions, draw

from vireid.core.errors import guarded
from vireid.core.protocols import GalleryIndex
from vireid.retrieval import FaissFlat, FaissHNSW, FaissIVF, FaissIVFPQ, Milvus, TorchExact

SIZES, WIDTHS = (10_000, 100_000, 1_000_000), (512, 2048)
QUERIES, SINGLE, DEPTH = 1000, 50, 10
RESULTS = Path(__file__).parent / "results" / "retrieval_search.json"
BACKENDS: dict[str, Callable[[str], GalleryIndex]] = {
    "TorchExact": lambda folder: TorchExact(device="cpu"),
    "FaissFlat": lambda folder: FaissFlat(device="cpu"),
    "IVF, 8 probes": lambda folder: FaissIVF(probes=8, device="cpu"),
    "IVF, 32 probes": lambda folder: FaissIVF(probes=32, device="cpu"),
    "IVF, 128 probes": lambda folder: FaissIVF(probes=128, device="cpu"),
    "HNSW, effort 64": lambda folder: FaissHNSW(links=32, search_effort=64),
    "HNSW, effort 256": lambda folder: FaissHNSW(links=32, search_effort=256),
    "IVFPQ, 64 bytes": lambda folder: FaissIVFPQ(code_bytes=64, opq=False, probes=64),
    "IVFPQ, 128 bytes": lambda folder: FaissIVFPQ(code_bytes=128, opq=False, probes=64),
    "Milvus HNSW": lambda folder: Milvus(address=f"{folder}/milvus.db", search_effort=64),
}


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the seconds of the processor."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def measure(size: int, width: int, backend: str) -> dict[str, Any]:
    """One piece in this process."""
    rows = draw(size + QUERIES, width)
    queries, gallery = rows[:QUERIES], rows[QUERIES:]
    exact = FaissFlat(device="cpu")
    exact.add(gallery)
    exact.search(queries[:2], DEPTH)
    (_, truth), of_exact = timed(lambda: exact.search(queries, DEPTH))
    _, of_exact_single = timed(lambda: [exact.search(query[None], DEPTH) for query in queries[:SINGLE]])
    with tempfile.TemporaryDirectory() as folder:
        index, file = BACKENDS[backend](folder), Path(folder, "index.bin")

        def build() -> None:
            index.add(gallery)
            index.save(file)

        _, building = timed(build)
        memory = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        index.search(queries[:2], DEPTH)
        (_, ids), together = timed(lambda: index.search(queries, DEPTH))
        _, alone = timed(lambda: [index.search(query[None], DEPTH) for query in queries[:SINGLE]])
    recall = np.mean([len(set(found) & set(right)) / DEPTH for found, right in zip(ids, truth)])
    return {
        "vectors": size,
        "width": width,
        "backend": backend,
        "build_cpu_s": round(building, 2),
        "bytes_per_vector": round(memory / size, 1),
        "queries_per_cpu_s": round(QUERIES / together, 1),
        "queries_per_cpu_s_one_at_a_time": round(SINGLE / alone, 1),
        "times_exact": round(of_exact / together, 2),
        "times_exact_one_at_a_time": round(of_exact_single / alone, 2),
        "recall_at_1": round(float((ids[:, 0] == truth[:, 0]).mean()), 4),
        "recall_at_10": round(float(recall), 4),
    }


def stored(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"results": [], "not_run": []}


def keep(file: Path, piece: dict[str, Any]) -> None:
    record = {"command": "python benchmarks/retrieval_search.py", **conditions(), **stored(file)}
    kind = "results" if "recall_at_1" in piece else "not_run"
    place = tuple(piece[key] for key in ("vectors", "width", "backend"))
    for name in ("results", "not_run"):
        record[name] = [p for p in record[name] if tuple(p[k] for k in ("vectors", "width", "backend")) != place]
    record[kind].append(piece)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--minutes", type=float, default=30, help="for a piece; what takes longer counts as not run")
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.one:
        print(json.dumps(measure(int(options.one[0]), int(options.one[1]), options.one[2])))
        return 0
    done = {(p["vectors"], p["width"], p["backend"]) for p in stored(options.json)["results"]}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    pieces = [(s, w, b) for s in options.sizes for w in options.widths for b in options.backends]
    for size, width, backend in pieces:
        if (size, width, backend) in done:
            continue
        piece: dict[str, Any] = {"vectors": size, "width": width, "backend": backend}
        if 4 * 4 * size * width > memory:  # drawn, in the exact index, in this one, waiting
            keep(options.json, {**piece, "reason": "does not fit in this machine's memory"})
            continue
        command = [sys.executable, __file__, "--one", str(size), str(width), backend]
        try:
            run = subprocess.run(command, stdout=subprocess.PIPE, timeout=60 * options.minutes)
            failed = f"failed with exit code {run.returncode}" if run.returncode else ""
        except subprocess.TimeoutExpired:
            run, failed = None, f"longer than {options.minutes:g} minutes"
        piece = {**piece, "reason": failed} if failed or run is None else json.loads(run.stdout.splitlines()[-1])
        keep(options.json, piece)
        print(json.dumps(piece), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
