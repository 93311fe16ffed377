"""Write docs/retrieval_results.md and its plots from the results of the retrieval benchmarks.

    python benchmarks/speed/retrieval_page.py

Nothing is measured: all numbers are those of the JSON files of benchmarks/results, or are computed from them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from retrieval_search import BACKENDS

from vireid.core.errors import guarded
from vireid.core.io import write_text

ROOT = Path(__file__).resolve().parents[2]
RESULTS, PAGE, IMAGES = (
    ROOT / "benchmarks" / "results",
    ROOT / "docs" / "retrieval_results.md",
    ROOT / "docs" / "images",
)
HIGH, SMALL = 0.98, 0.90  # recall@10 asked of an approximate index, and of a compressed one
FUTURE = (10**7, 10**8, 10**9)
NODE_GB, FILLED = 64, 0.7  # memory of a query node, and how much of it vectors may take
SEGMENT = 500_000  # vectors of a Milvus segment: 1 GB of 512 floats, its default
EXACT = ("TorchExact", "FaissFlat")
FITTED = {
    "FaissFlat": 1.0,
    "FaissIVFRefined": HIGH,
    "FaissHNSW": HIGH,
    "FaissIVFPQ": SMALL,
}  # recall@10 they must reach
Row = dict[str, Any]


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"retrieval_{name}.json").read_text(encoding="utf-8"))


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def short(value: float) -> str:
    """
    >>> short(0.0123), short(3.21), short(54321.0)
    ('0.0123', '3.2', '54,000')
    """
    if value >= 100:
        return f"{float(f'{value:.2g}'):,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.3g}"


def million(number: int) -> str:
    return f"10^{round(np.log10(number))}"


def metrics() -> str:
    return table(
        ["protocol", "queries", "gallery", "vireid, ms", "loop, s", "ratio", "best loop, s", "ratio"],
        (
            [
                row["protocol"],
                f"{row['queries']:,}",
                f"{row['gallery']:,}",
                f"{1000 * row['ours_s']:.1f}",
                f"{row['plain_s']:.2f}",
                f"{row['plain_ratio']:.0f}",
                f"{row['numpy_s']:.2f}",
                f"{row['numpy_ratio']:.0f}",
            ]
            for row in read("metrics")["results"]
        ),
    )


def reranking() -> str:
    def of(row: Row, name: str) -> str:
        return f"{row[f'plain_{name}_s']:.1f} ({row[f'plain_{name}_ratio']:.0f} x)" if f"plain_{name}_s" in row else ""

    return table(
        ["images", "vireid, s", "peak memory, GB", "plain form, half precision, s", "plain form, single precision, s"],
        (
            [f"{row['images']:,}", f"{row['ours_s']:.3g}", row["peak_memory_gb"], of(row, "half"), of(row, "single")]
            for row in read("rerank")["results"]
        ),
    )


def search(size: int, width: int) -> str:
    return table(
        [
            "index",
            "setting",
            "build, s",
            "bytes per embedding",
            "q/s",
            "q/s one by one",
            "x exact",
            "recall@1",
            "recall@10",
        ],
        (
            [
                row["backend"],
                row["setting"],
                short(row["build_s"]),
                f"{row['bytes_per_vector']:,.0f}",
                short(row["queries_per_s"]),
                short(row["queries_per_s_one_at_a_time"]),
                f"{row['times_exact']:.1f}",
                f"{row['recall_at_1']:.3f}",
                f"{row['recall_at_10']:.3f}",
            ]
            for row in rows_of(size, width)
        ),
    )


def places() -> list[tuple[int, int]]:
    return sorted({(row["vectors"], row["width"]) for row in read("search")["results"]}, key=lambda p: (p[1], p[0]))


def rows_of(size: int, width: int) -> list[Row]:
    rows = [row for row in read("search")["results"] if (row["vectors"], row["width"]) == (size, width)]
    return sorted(rows, key=lambda row: list(BACKENDS).index(row["backend"]))


def rate(row: Row | None) -> float:
    return row["queries_per_s"] if row else 0.0


def fastest(size: int, width: int, recall: float, backend: str = "") -> Row | None:
    """The setting with the most queries a second among those that find enough."""
    rows = [row for row in rows_of(size, width) if row["recall_at_10"] >= recall and backend in ("", row["backend"])]
    return max(rows, key=rate, default=None)


def recommendation(width: int) -> str:
    def words(row: Row | None) -> str:
        if row is None:
            return "none measured"
        name = f"`{row['backend']}`" + (f", {row['setting']}" if row["setting"] else "")
        gigabytes = row["bytes_per_vector"] * row["vectors"] / 1e9
        found = "" if row["backend"] in EXACT else f", recall@10 {row['recall_at_10']:.3f}"
        return (
            f"{name}: {short(row['queries_per_s'])} q/s, {gigabytes:.2g} GB, built in {short(row['build_s'])} s{found}"
        )

    def smallest(size: int) -> Row | None:
        """The least bytes, and among settings of one index the most queries."""
        rows = [row for row in rows_of(size, width) if row["recall_at_10"] >= SMALL]
        return min(rows, key=lambda row: (row["bytes_per_vector"], -row["queries_per_s"]), default=None)

    return table(
        ["images", "exact", f"fast, recall@10 from {HIGH:g}", f"small, recall@10 from {SMALL:g}"],
        (
            [
                million(size),
                words(max((fastest(size, width, 1.0, name) for name in EXACT), key=rate)),
                words(fastest(size, width, HIGH)),
                words(smallest(size)),
            ]
            for size in (size for size, of in places() if of == width)
        ),
    )


def measured(backend: str, width: int) -> list[Row]:
    """For each size the fastest setting that finds enough."""
    sizes = [size for size, of in places() if of == width]
    rows = [fastest(size, width, FITTED[backend], backend) for size in sizes]
    return [row for row in rows if row is not None]


def value_of(row: Row, value: str) -> float:
    return row["build_s"] if value == "build" else 1 / row["queries_per_s"]


def growth(backend: str, width: int, value: str) -> tuple[float, Callable[[float], float]]:
    """Exponent of the growth with the vectors, by least squares of the logarithms, and the value for any number of
    them, from the largest measured one on. Building grows at least as their number does: each has to be added."""
    rows = measured(backend, width)
    sizes, values = [row["vectors"] for row in rows], [value_of(row, value) for row in rows]
    exponent = float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
    if value == "build":
        exponent = max(exponent, 1.0)
    return exponent, lambda number: values[-1] * (number / sizes[-1]) ** exponent


def extended(width: int = 512) -> str:
    lines = []
    for backend, recall in FITTED.items():
        each = measured(backend, width)[-1]["bytes_per_vector"]
        built, asked = (growth(backend, width, value) for value in ("build", "query"))
        for number in FUTURE:
            lines.append(
                [
                    f"{backend}, recall@10 {recall:g}",
                    million(number),
                    f"{each * number / 1e9:,.0f}",
                    f"{short(built[1](number) / 3600)} (N^{built[0]:.2f})",
                    f"{short(1 / asked[1](number))} (N^{-asked[0]:.2f})",
                ]
            )
    return table(["index", "images", "GB", "hours to build on two cores", "q/s on two cores"], lines)


def cluster(width: int = 512) -> str:
    """Query nodes that hold the vectors, and the queries a second of their cores if all of them search all segments."""
    of_segment = 2 * growth("FaissHNSW", width, "query")[1](SEGMENT)  # seconds of a core: two worked
    graph = next(row for row in read("search")["results"] if row["backend"] == "FaissHNSW" and row["width"] == width)
    links = graph["bytes_per_vector"] - 4 * width
    lines = []
    for number in FUTURE:
        for kind, each in (("HNSW", 4 * width + links), ("HNSW_SQ (8 bits)", width + links), ("IVF_SQ8", width + 8)):
            nodes = int(np.ceil(each * number / (FILLED * NODE_GB * 1e9)))
            rate = nodes * 16 / (number / SEGMENT * of_segment) if kind == "HNSW" else None
            lines.append(
                [kind, million(number), f"{each * number / 1e9:,.0f}", f"{nodes:,}", short(rate) if rate else ""]
            )
    return table(["Milvus index", "images", "GB", f"nodes of {NODE_GB} GB and 16 cores", "q/s of them"], lines)


def plots() -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = [place for place in places() if place[1] == 512]
    figure, axes = plt.subplots(1, len(found), figsize=(4 * len(found), 3.6), sharey=True, squeeze=False)
    for axis, (size, width) in zip(axes[0], found):
        rows = rows_of(size, width)
        for k, backend in enumerate(BACKENDS):
            of = sorted((row for row in rows if row["backend"] == backend), key=lambda row: row["queries_per_s"])
            rates, recalls = ([row[key] for row in of] for key in ("queries_per_s", "recall_at_10"))
            axis.plot(rates, recalls, "o-", color=f"C{k}", label=backend, markersize=4)
        axis.set(xscale="log", xlabel="queries a second, 1000 at once", title=f"{million(size)} x {width}")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("recall@10")
    axes[0][-1].legend(fontsize=8, loc="lower left")
    figure.tight_layout()
    figure.savefig(IMAGES / "retrieval_search.png", dpi=100)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
    labels = {"build": "seconds to build", "query": "seconds of a query, of 1000 at once"}
    for axis, (value, label) in zip(axes, labels.items()):
        for k, (backend, recall) in enumerate(FITTED.items()):
            rows = measured(backend, 512)
            sizes, values = [row["vectors"] for row in rows], [value_of(row, value) for row in rows]
            further = [sizes[-1], *FUTURE]
            axis.plot(sizes, values, "o-", color=f"C{k}", label=f"{backend}, {recall:g}")
            axis.plot(further, [growth(backend, 512, value)[1](size) for size in further], ":", color=f"C{k}")
        axis.set(xscale="log", yscale="log", xlabel="vectors", ylabel=label)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(IMAGES / "retrieval_growth.png", dpi=100)


def page() -> str:
    tables = "\n\n".join(
        f"**{million(size)} embeddings of {width} dimensions**\n\n{search(size, width)}" for size, width in places()
    )
    left_out = read("search")["not_run"]
    not_run = table(
        ["index", "embeddings", "dimensions", "reason"],
        ([row["backend"], million(row["vectors"]), row["width"], row["reason"]] for row in left_out),
    )
    features, machine = read("features"), read("search")
    text = (Path(__file__).parent / "retrieval_page.md").read_text(encoding="utf-8")
    values = {
        "METRICS": metrics(),
        "RERANKING": reranking(),
        "RECOMMENDATION_512": recommendation(512),
        "RECOMMENDATION_2048": recommendation(2048),
        "SEARCH": tables,
        "NOT_RUN": not_run if left_out else "None.",
        "EXTENDED": extended(),
        "CLUSTER": cluster(),
        "MODEL": features["model"],
        "RANK1": f"{100 * features['rank1']:.0f}",
        "SPREADS": ", ".join(f"{sum(features[key]):.2f}" for key in ("identity", "camera", "image")),
        "THREADS": machine["threads"],
        "FAISS": machine["versions"]["faiss"],
    }
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


@guarded
def main(argv: list[str] | None = None) -> int:
    argparse.ArgumentParser(description="write the page of the retrieval benchmarks").parse_args(argv)
    write_text(PAGE, page())
    plots()
    print(PAGE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
