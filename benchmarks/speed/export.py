"""Speed of exported models on the CPU: PyTorch, ONNX Runtime and OpenVINO in one run.

    python benchmarks/speed/export.py --json benchmarks/results/export.json
    python benchmarks/speed/export.py --page benchmarks/results/export.json

One network with random weights is exported to each format. The formats take turns in rounds, so that a change of the
load of the machine affects all of them. A time is that of pixels (B, H, W, 3) uint8 in memory to embeddings, with
normalization, without decoding. All runtimes use the same number of threads.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import vireid
from vireid.core.errors import guarded
from vireid.core.io import write_json, write_text
from vireid.core.paths import path_argument
from vireid.core.types import Batch, DatasetInfo, Modality
from vireid.embedder.description import ModelDescription
from vireid.embedder.embedder import Embedder
from vireid.embedder.exported import ExportedModel
from vireid.embedder.pixel_model import PixelModel
from vireid.engine.distributed import Environment
from vireid.export import export_model

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "export.json", ROOT / "docs" / "export_results.md"
LIBRARIES = ("torch", "onnx", "onnxscript", "onnxruntime", "openvino")
FILES: dict[str, dict[str, Any]] = {  # name -> arguments of export_model
    "ONNX Runtime": {"format": "onnx"},
    "ONNX Runtime, one modality": {"format": "onnx", "modality": "infrared"},
    "ONNX Runtime, int8": {"format": "onnx", "precision": "int8"},
    "OpenVINO": {"format": "openvino"},
    "OpenVINO, one modality": {"format": "openvino", "modality": "infrared"},
    "OpenVINO, int8": {"format": "openvino", "precision": "int8"},
    "torch.export": {"format": "torch"},
}
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}


def make_embedder(method: str, arch: str, size: tuple[int, int]) -> Embedder:
    """A network with random weights; its speed does not depend on them."""
    torch.manual_seed(0)
    network = vireid.create_model(method, arch=arch)
    described = ModelDescription(
        model={"IMPORTS": [], "MODEL": {"EMBEDDING": list(network.embedding)}}, info=DatasetInfo(), size=size
    )
    return Embedder(network, described, Environment(device="cpu", precision="float32"))


def make_batch(rows: int, size: tuple[int, int]) -> Batch:
    """Infrared images of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (rows, *size, 3), dtype=np.uint8)
    zeros = torch.zeros(rows, dtype=torch.int64)
    return Batch(
        images=torch.from_numpy(pixels).permute(0, 3, 1, 2),
        labels=zeros,
        modality=torch.full((rows,), int(Modality.INFRARED)),
        cameras=zeros,
        view=zeros,
        index=torch.arange(rows),
    )


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(models: dict[str, PixelModel], batch: Batch, rounds: int) -> dict[str, list[float]]:
    """Seconds of each model for a batch; the models take turns, after one call that does not count."""
    for model in models.values():
        model.embed([batch])
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            times[name].append(seconds(lambda model=model: model.embed([batch])))
    return times


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Export, measure and return the record."""
    torch.set_num_threads(options.threads)
    load = [round(value, 2) for value in os.getloadavg()]
    size = tuple(options.size)
    embedder = make_embedder(options.method, options.arch, size)
    models: dict[str, PixelModel] = {"PyTorch": embedder.model}
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, "images")
        photos.mkdir()
        for number, pixels in enumerate(make_batch(8, size).images.permute(0, 2, 3, 1).numpy()):
            Image.fromarray(pixels).save(photos / f"{number}.png")
        for number, (name, words) in enumerate(FILES.items()):
            more = {"calibrate": photos} if words.get("precision") == "int8" else {}
            path = Path(folder, f"{number}{SUFFIXES[words['format']]}")
            start = time.perf_counter()
            result = export_model(embedder, path, **words, **more)
            spent = time.perf_counter() - start
            files[name] = {
                **words,
                "megabytes": round(result.size / 1e6, 1),
                "export_s": round(spent, 1),
                "parity": result.parity.to_json(),
            }
            models[name] = ExportedModel(path)
            print(f"{name}: exported in {spent:.1f} s, {result.parity}", flush=True)
        single = measure(models, make_batch(1, size), options.single)
        many = measure(models, make_batch(options.batch, size), options.rounds)
    base_one, base_many = np.median(single["PyTorch"]), np.median(many["PyTorch"])
    rows = [
        {
            "runtime": name,
            **files.get(name, {}),
            "images_per_s_batch_1": round(1 / float(np.median(single[name])), 2),
            "p50_ms": round(1000 * float(np.percentile(single[name], 50)), 2),
            "p99_ms": round(1000 * float(np.percentile(single[name], 99)), 2),
            "images_per_s_batch": round(options.batch / float(np.median(many[name])), 2),
            "times_pytorch_batch_1": round(float(base_one / np.median(single[name])), 2),
            "times_pytorch_batch": round(float(base_many / np.median(many[name])), 2),
        }
        for name in models
    ]
    return {
        "command": "python benchmarks/speed/export.py " + " ".join(options.words),
        "model": {"method": options.method, "arch": options.arch, "size": list(size), "weights": "random"},
        "batch": options.batch,
        "calls": {"batch_1": options.single, "batch": options.rounds},
        "threads": options.threads,
        "processor": processor(),
        "load_average": load,
        "python": platform.python_version(),
        "vireid": vireid.__version__,
        **{name: version(name) for name in LIBRARIES},
        "results": rows,
    }


def processor() -> str:
    """Name of the processor and the instruction sets that decide its speed."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    name = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "")
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    known = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8") if flag in flags]
    return f"{name} ({', '.join(known)})"


def page(record: dict[str, Any]) -> str:
    """The results as a page in Markdown."""
    model, height, width = record["model"], *record["model"]["size"]
    lines = [
        "# Speed of exported models",
        "",
        f"Network: {model['method']} with {model['arch']}, {height} x {width}, {model['weights']} weights, float32"
        f" unless stated. Number of threads: {record['threads']}, of {record['processor']}, shared with"
        f" other work (load average {record['load_average'][0]} at the start): absolute times and small ratios are"
        f" uncertain. torch {record['torch']}, onnxruntime {record['onnxruntime']},"
        f" openvino {record['openvino']}. All runtimes were measured in one run and took turns: compare the numbers of"
        " this page with each other only. Time: pixels in memory to embeddings, without decoding.",
        "",
        "```bash",
        record["command"],
        f"python benchmarks/speed/export.py --page {RESULTS.relative_to(ROOT).as_posix()}",
        "```",
        "",
        f"| runtime | images/s, batch 1 | p50, ms | p99, ms | images/s, batch {record['batch']} | x PyTorch, batch 1 |"
        f" x PyTorch, batch {record['batch']} | MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['runtime']} | {row['images_per_s_batch_1']:.1f} | {row['p50_ms']:.0f} | {row['p99_ms']:.0f} |"
        f" {row['images_per_s_batch']:.1f} | {row['times_pytorch_batch_1']:.2f} | {row['times_pytorch_batch']:.2f} |"
        f" {row.get('megabytes', '')} |"
        for row in record["results"]
    ]
    lines += [
        "",
        f"Medians of {record['calls']['batch_1']} calls with one image and of {record['calls']['batch']} calls with"
        f" {record['batch']} images; with so few calls p99 is close to the slowest one."
        " PyTorch computes the modality-specific units once. A file for both modalities"
        " computes them twice and selects, a file for one modality once.",
        "",
        "| file | smallest cosine with the network | largest difference | export, s |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {row['runtime']} | {row['parity']['cosine_min']:.6f} | {row['parity']['difference_max']:.1e} |"
        f" {row['export_s']} |"
        for row in record["results"]
        if "parity" in row
    ]
    lines += [
        "",
        "The weights are random and the images are noise: the cosines of int8 are not those of a trained network."
        " `vireid export --evaluate` measures the loss of mAP of a trained one.",
        "",
    ]
    return "\n".join(line if line.startswith(("|", "python")) else textwrap.fill(line, 120) for line in lines)


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="sysu/agw", help="shipped method")
    parser.add_argument("--arch", default="resnet50")
    parser.add_argument("--size", type=int, nargs=2, default=(288, 144), metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--single", type=int, default=100, help="calls with one image")
    parser.add_argument("--rounds", type=int, default=5, help="calls with a batch")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=path_argument, metavar="FILE", help="write the results")
    parser.add_argument("--page", type=path_argument, metavar="FILE", help=f"write {PAGE.name} from results")
    options = parser.parse_args(argv)
    options.words = sys.argv[1:] if argv is None else argv
    if options.page:
        write_text(PAGE, page(json.loads(options.page.read_text(encoding="utf-8"))))
        return 0
    record = run(options)
    if options.json:
        write_json(options.json, record)
    print(json.dumps(record["results"], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
