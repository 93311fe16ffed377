#!/usr/bin/env python3
"""Effect of COMPILE: steps of a two-stream backbone with and without torch.compile, alternating in one run.

    python benchmarks/speed/compile_speed.py --arch resnet18 --json benchmarks/results/compile_speed.json

A step is forward and backward of the backbone in float32 on random images. Losses and optimizer do not depend on
COMPILE and are left out. `first_step_seconds` contains the compilation, unless the cache of torch has it.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from vireid.core.errors import UserError, guarded
from vireid.core.io import write_json
from vireid.engine.compiling import compile_faults, compile_for_training, require_compiler
from vireid.models.backbones.two_stream import TwoStreamBackbone


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--arch", default="resnet18", help="a timm CNN (default %(default)s)")
    made.add_argument("--batch", type=int, default=16, metavar="N", help="images in a step (default %(default)s)")
    made.add_argument("--size", type=int, nargs=2, default=(128, 64), metavar=("H", "W"), help="default 128 64")
    made.add_argument("--steps", type=int, default=10, metavar="N", help="timed steps of each (default %(default)s)")
    made.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    made.add_argument("--json", type=Path, metavar="FILE", help="also write the result there")
    return made


def step(network: nn.Module, images: torch.Tensor, modality: torch.Tensor) -> tuple[float, float]:
    """Wall-clock and CPU seconds of forward and backward."""
    wall, cpu = time.perf_counter(), time.process_time()
    network.zero_grad(set_to_none=True)
    network(images, modality, len(images) // 2)[0].square().mean().backward()
    if images.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


@guarded
def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    if options.batch < 4 or options.batch % 2 or options.steps < 1:
        raise UserError("--batch must be an even number of at least 4 and --steps at least 1")
    device = torch.device(options.device)
    require_compiler(device)
    torch.manual_seed(0)
    plain = TwoStreamBackbone(arch=options.arch).to(device, memory_format=torch.channels_last).train()  # type: ignore
    compiled = copy.deepcopy(plain)
    compile_for_training(compiled)
    images = torch.randn(options.batch, 3, *options.size, device=device).to(memory_format=torch.channels_last)
    modality = torch.arange(options.batch, device=device) * 2 // options.batch
    with compile_faults():
        first = step(compiled, images, modality)[0]
    step(plain, images, modality)
    times = [(step(plain, images, modality), step(compiled, images, modality)) for _ in range(options.steps)]
    medians = {
        f"{name}_{clock}_milliseconds": round(1000 * statistics.median(each[side][index] for each in times), 1)
        for side, name in enumerate(("plain", "compiled"))
        for index, clock in enumerate(("wall", "cpu"))
    }
    found = {
        "arch": options.arch,
        "batch": options.batch,
        "size": list(options.size),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "first_step_seconds": round(first, 1),
        **medians,
        "speedup_wall": round(statistics.median(one[0] / other[0] for one, other in times), 3),
        "speedup_cpu": round(statistics.median(one[1] / other[1] for one, other in times), 3),
        "steps": options.steps,
    }
    for key, value in found.items():
        print(f"{key:28} {value}")
    if options.json is not None:
        write_json(options.json, found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
