"""Search with every index: build time, memory, queries per second, recall compared with the exact result.

    python benchmarks/speed/retrieval_search.py
    python benchmarks/speed/retrieval_search.py --sizes 1000000 --widths 512 --backends IVF

Each combination of number of vectors, width and index runs in a separate process and is stored in the JSON file when it
is finished; combinations in the file are skipped. An index is built once and searched with each of its settings. The
exact search is timed again in each combination, so a ratio compares two times of one run. Times are wall-clock times on
a machine without other load; memory is the size of the index file. Embeddings: `retrieval_features.py`. Queries are
other images of the identities in the gallery.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from retrieval_features import conditions, draw

from vireid.core.errors import guarded
from vireid.core.interfaces import GalleryIndex
from vireid.core.paths import path_argument
from vireid.retrieval import FaissFlat, FaissHNSW, FaissIVF, FaissIVFPQ, FaissIVFRefined, Milvus, TorchExact

SIZES, WIDTHS = (10_000, 100_000, 1_000_000), (512, 2048)
QUERIES, SINGLE, DEPTH = 1000, 100, 10
LONG = 60.0  # seconds; what takes longer is searched once
CODE_BYTES = {512: 112, 2048: 448}  # with number and centers less than 1/16 of the vector
RESULTS = Path(__file__).parents[1] / "results" / "retrieval_search.json"
Settings = Mapping[str, Mapping[str, int]]  # name -> attributes of the index


@dataclass(frozen=True)
class Backend:
    """An index, and the settings that it is searched with."""

    make: Callable[[int, Path], GalleryIndex]  # width, folder
    settings: Settings = field(default_factory=lambda: {"": {}})


def probed(*numbers: int) -> Settings:
    return {f"{number} probes": {"probes": number} for number in numbers}


def efforts(*numbers: int) -> Settings:
    return {f"effort {number}": {"search_effort": number} for number in numbers}


BACKENDS = {
    "TorchExact": Backend(lambda width, folder: TorchExact(device="cpu")),
    "FaissFlat": Backend(lambda width, folder: FaissFlat(device="cpu")),
    "FaissIVF": Backend(lambda width, folder: FaissIVF(device="cpu"), probed(8, 32, 128)),
    "FaissIVFRefined": Backend(lambda width, folder: FaissIVFRefined(), probed(64, 128, 256, 512, 640, 768)),
    "FaissHNSW": Backend(lambda width, folder: FaissHNSW(), efforts(32, 40, 48, 64, 128, 256)),
    "FaissIVFPQ": Backend(lambda width, folder: FaissIVFPQ(code_bytes=CODE_BYTES[width]), probed(16, 64, 256, 512)),
    "Milvus HNSW": Backend(lambda width, folder: Milvus(address=f"{folder}/milvus.db", search_effort=64)),
}


def measure(size: int, width: int, name: str) -> list[dict[str, Any]]:
    """One index in this process: a row for each setting."""
    rows = draw(size + QUERIES, width)
    queries, gallery = rows[:QUERIES], rows[QUERIES:]
    exact = FaissFlat(device="cpu")
    exact.add(gallery)
    (_, truth), of_exact, of_exact_single = searched(exact, queries)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        index, file = BACKENDS[name].make(width, Path(folder)), Path(folder, "index.bin")
        start = time.perf_counter()
        index.add(gallery)
        index.save(file)
        built = time.perf_counter() - start
        memory = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        for setting, values in BACKENDS[name].settings.items():
            for attribute, value in values.items():
                setattr(index, attribute, value)
            (_, ids), together, alone = searched(index, queries)
            found.append(
                {
                    "vectors": size,
                    "width": width,
                    "backend": name,
                    "setting": setting,
                    "build_s": round(built, 2),
                    "bytes_per_vector": round(memory / size, 1),
                    "queries_per_s": round(QUERIES / together, 1),
                    "queries_per_s_one_at_a_time": round(SINGLE / alone, 1),
                    "times_exact": round(of_exact / together, 2),
                    "times_exact_one_at_a_time": round(of_exact_single / alone, 2),
                    "recall_at_1": round(float((ids[:, 0] == truth[:, 0]).mean()), 4),
                    "recall_at_10": round(shared(ids, truth), 4),
                }
            )
    return found


def searched(index: GalleryIndex, queries: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], float, float]:
    """Scores and ids, the seconds for all queries at once (the median of three), and those for some of them one after
    the other."""
    answers, together = index.search(queries[:2], DEPTH), []
    while len(together) < 3 and sum(together) < LONG:
        start = time.perf_counter()
        answers = index.search(queries, DEPTH)
        together.append(time.perf_counter() - start)
    start = time.perf_counter()
    for query in queries[:SINGLE]:
        index.search(query[None], DEPTH)
    return answers, statistics.median(together), time.perf_counter() - start


def shared(ids: np.ndarray, truth: np.ndarray) -> float:
    """Mean share of the exact results that are among the results."""
    return float((ids[:, :, None] == truth[:, None]).any(axis=1).mean())


def stored(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"results": [], "not_run": []}


def keep(file: Path, place: dict[str, Any], rows: list[dict[str, Any]], reason: str = "") -> None:
    """Write the rows of a combination, or why they are missing; existing rows of it are replaced."""
    record = {"command": "python benchmarks/speed/retrieval_search.py", **conditions(), **stored(file)}
    for name in ("results", "not_run"):
        record[name] = [row for row in record[name] if any(row[key] != place[key] for key in place)]
    record["results"] += rows
    record["not_run"] += [{**place, "reason": reason}] if reason else []
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--minutes", type=float, default=30, help="for a piece; what takes longer counts as not run")
    parser.add_argument("--json", type=path_argument, default=RESULTS)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.one:
        print(json.dumps(measure(int(options.one[0]), int(options.one[1]), options.one[2])))
        return 0
    done = {(row["vectors"], row["width"], row["backend"]) for row in stored(options.json)["results"]}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    pieces = [(s, w, b) for s in options.sizes for w in options.widths for b in options.backends]
    for piece in pieces:
        if piece in done:
            continue
        size, width, backend = piece
        place: dict[str, Any] = {"vectors": size, "width": width, "backend": backend}
        if 4 * 4 * size * width > memory:  # drawn, in the exact index, in this one, and what building takes
            keep(options.json, place, [], "does not fit in this machine's memory")
            continue
        try:
            command = [sys.executable, __file__, "--one", *map(str, piece)]
            run = subprocess.run(command, stdout=subprocess.PIPE, timeout=60 * options.minutes)
            failed = f"failed with exit code {run.returncode}" if run.returncode else ""
            rows = [] if failed else json.loads(run.stdout.splitlines()[-1])
        except subprocess.TimeoutExpired:
            rows, failed = [], f"longer than {options.minutes:g} minutes"
        keep(options.json, place, rows, failed)
        print(*(json.dumps(row) for row in rows or [{**place, "reason": failed}]), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
