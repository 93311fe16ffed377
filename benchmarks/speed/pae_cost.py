"""Cost of PAE and AAL in training: time and peak memory of a step on ResNet-50 at 288 x 144, compared with MMD.

    python benchmarks/speed/pae_cost.py --rows 32 --repeats 5 --json benchmarks/results/pae_cost.json

Each network runs in a separate process, which executes a step (forward, losses, backward, optimizer) on request. Steps
of a variant and of MMD alternate, so that other load of the machine affects both. Ratios are medians over the repeats,
of wall-clock seconds and of CPU seconds; the latter are more reliable if other programs run. 32 rows are the batch of
the released MMD-ReID; the share of the weights is smaller in larger batches. Memory on a CPU is the peak resident size
of the process minus its size before the network was built (weights, gradients, momentum, activations), on a GPU the
peak allocation of torch. "default" has the widths of `plugins/pae.yml` and `aal.yml`; "full" has width C everywhere,
one layer for each gate and attribute, as in the paper; "released" is `plugins/pae_released.yml`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from vireid.config import Build, load_checked
from vireid.core.errors import guarded
from vireid.core.io import write_json
from vireid.core.paths import path_argument
from vireid.core.types import DatasetInfo, Progress
from vireid.engine.distributed import Environment
from vireid.engine.optim import parameter_groups
from vireid.engine.trainer import place
from vireid.testing import tiny_batch
from vireid.zoo.models import config_path

FACTS = DatasetInfo(num_ids=395, num_cameras=6, num_attributes=8)
FULL = {
    "MODEL.ADAPTER.STAGES.EMB2.WIDTH": None,
    "MODEL.ADAPTER.STAGES.EMB3.WIDTH": None,
    "MODEL.HEADS.ATTRIBUTES.WIDTH": None,
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "MMD": ("sysu/mmd", {}),
    "PAE+AAL, default width": ("sysu/mmd_pae_aal", {}),
    "PAE+AAL, full width": ("sysu/mmd_pae_aal", FULL),
    "PAE as released": ("sysu/paenet_released", {}),
}
PLAIN = "MMD"
GOALS = {"time": 1.4, "memory": 1.6}  # of the default width


def live(pipe: Connection, variant: str, rows: int, arch: str, device: str, precision: str, threads: int) -> None:
    """Execute a step for each request of the pipe; send the memory at the end. Runs in a separate process."""
    torch.set_num_threads(threads)
    environment = Environment(device=device, precision=precision)
    base = _resident()
    name, changes = VARIANTS[variant]
    changes = {**changes, "MODEL.BACKBONE.ARCH": arch, "MODEL.BACKBONE.PRETRAINED": False}
    build = Build(load_checked(config_path(name), changes), FACTS)
    torch.manual_seed(0)
    model = build.model(weights=False)
    objective = build.objective(model).to(environment.device)
    place(model, environment.device)
    optimizer = build.optimizer(parameter_groups(model, objective, build.lr_scale()))
    batch = tiny_batch(identities=rows // 4, per_modality=2, size=(288, 144)).to(environment.device)
    on_gpu = environment.device.type == "cuda"
    while pipe.recv() == "step":
        start, used = time.perf_counter(), time.process_time()
        with environment.autocast():
            out = model(batch)
        total, _ = objective(batch, out, Progress())
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        if on_gpu:
            torch.cuda.synchronize()
        pipe.send((time.perf_counter() - start, time.process_time() - used))
    peak = torch.cuda.max_memory_allocated() if on_gpu else _largest() - base
    parameters = sum(parameter.numel() for parameter in model.parameters())
    pipe.send({"peak_bytes": peak, "parameters": parameters, "environment": environment.describe()})


def _resident() -> int:
    """Bytes in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _largest() -> int:
    """Bytes in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def pair(options: argparse.Namespace, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Steps of some variants in turns."""
    context = multiprocessing.get_context("spawn")
    pipes, processes, times = {}, [], {name: [] for name in names}
    for name in names:
        pipes[name], other = context.Pipe()
        arguments = (other, name, options.rows, options.arch, options.device, options.precision, options.threads)
        processes.append(context.Process(target=live, args=arguments, daemon=True))
        processes[-1].start()
        other.close()
    for turn in range(options.warmup + options.repeats):
        for name, pipe in pipes.items():
            pipe.send("step")
            seconds = pipe.recv()
            if turn >= options.warmup:
                times[name].append(seconds)
    results = {}
    for name, pipe in pipes.items():
        pipe.send("end")
        clock, used = zip(*times[name])
        results[name] = {
            "seconds": statistics.median(clock),
            "cpu_seconds": statistics.median(used),
            "all_seconds": [round(seconds, 4) for seconds in clock],
            "all_cpu_seconds": [round(seconds, 4) for seconds in used],
            **pipe.recv(),
        }
    for process in processes:
        process.join()
    return results


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Compare each variant with MMD; at most two networks are in memory at a time."""
    rows: dict[str, dict[str, Any]] = {}
    for name in VARIANTS:
        if name == PLAIN:
            continue
        both = pair(options, [PLAIN, name])
        plain, row = both[PLAIN], both[name]
        for ratio, which in (("time_ratio", "all_seconds"), ("cpu_time_ratio", "all_cpu_seconds")):
            row[ratio] = statistics.median(a / b for a, b in zip(row[which], plain[which]))
        row["memory_ratio"] = row["peak_bytes"] / plain["peak_bytes"]
        rows[name] = {**row, "plain": plain}
    environment = next(iter(rows.values()))["environment"]
    for row in rows.values():
        row.pop("environment")
        row["plain"].pop("environment")
    return {"results": rows, "goals": GOALS, "environment": environment}


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [f"{'ratios to plain MMD':26}{'time':>7}{'CPU':>7}{'memory':>8}{'GiB':>8}{'MMD':>7}{'M weights':>11}"]
    for name, row in results.items():
        lines.append(
            f"{name:26}{row['time_ratio']:7.2f}{row['cpu_time_ratio']:7.2f}{row['memory_ratio']:8.2f}"
            f"{row['peak_bytes'] / 2**30:8.2f}{row['plain']['peak_bytes'] / 2**30:7.2f}{row['parameters'] / 1e6:11.1f}"
        )
    return "\n".join(lines)


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=32, help="images in a batch, a multiple of 4 (default: 32)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--arch", default="resnet50")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--precision", default="auto", choices=["auto", "bf16", "float32"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=path_argument, help="also write the results to this file")
    options = parser.parse_args(argv)
    found = compare(options)
    print(table(found["results"]))
    if options.json:
        words = [f"--{name} {getattr(options, name)}" for name in ("rows", "repeats", "warmup", "arch", "threads")]
        command = f"python benchmarks/speed/pae_cost.py {' '.join(words)} --json {options.json}"
        write_json(options.json, {"command": command, **found})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
