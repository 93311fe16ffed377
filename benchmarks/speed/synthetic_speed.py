"""Speed of rendering and writing synthetic data: images/s at two sizes, with one and with two processes, as JSON.

    python benchmarks/speed/synthetic_speed.py

The time is that of the whole call: start of the processes, rendering, JPEG encoding and writing. For
`steady_images_per_second`, the time of a dataset of a few images, mostly the start of the processes, is subtracted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from vireid.core.errors import guarded
from vireid.synthetic import Recipe, sysu, write_dataset

REQUIRED = {(288, 144): 120, (128, 64): 500}  # images/s with two processes


def written(identities: int, images: int, size: tuple[int, int], workers: int) -> tuple[int, float]:
    """Write one dataset; return the number of images and the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        write_dataset(
            Path(folder) / "set",
            Recipe(identities=identities, images=images, size=size),
            workers=workers,
            progress=False,
        )
        seconds = time.perf_counter() - begin
    people = sysu.plan(seed=0, identities=identities)
    return images * sum(map(len, people.cameras.values())), seconds


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--identities", type=int, default=100, help="of each timed dataset (default: 100)")
    parser.add_argument("--images", type=int, default=10, help="of each identity and camera (default: 10)")
    arguments = parser.parse_args(argv)
    results = []
    for size, required in REQUIRED.items():
        for workers in (1, 2):
            few, short = written(5, 1, size, workers)
            many, long = written(arguments.identities, arguments.images, size, workers)
            results.append(
                {
                    "size": f"{size[0]}x{size[1]}",
                    "processes": workers,
                    "images": many,
                    "start_seconds": round(short, 2),
                    "images_per_second": round(many / long, 1),
                    "steady_images_per_second": round((many - few) / (long - short), 1),
                    "required_with_two_processes": required,
                }
            )
    print(json.dumps({"cores": os.cpu_count(), "results": results}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
