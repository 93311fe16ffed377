"""Effect of training time on synthetic data: a short training, and one that is ten times as long.

    python benchmarks/speed/synthetic_difficulty.py --json benchmarks/results/synthetic_difficulty.json

The same small network with random initial weights (`configs/demo/sysu_mmd.yml`) on synthetic data of the default
difficulty, trained for STEPS and for 10 x STEPS optimization steps with a proportional learning-rate schedule, and
evaluated on unseen identities. If the scores are close, difficulty and not training time determines them. Interrupted
runs are resumed.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from vireid.core.errors import guarded
from vireid.core.io import write_json
from vireid.core.paths import path_argument
from vireid.experiment.experiment import Experiment
from vireid.synthetic import Recipe, write_dataset

CONFIG = Path(__file__).parents[2] / "configs" / "demo" / "sysu_mmd.yml"
EPOCHS = 8
LENGTHS = (1, 10)


def trained(length: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Results of a run of `length` times EPOCHS epochs of STEPS / EPOCHS steps."""
    epochs = EPOCHS * length
    run = Experiment.from_config(
        CONFIG,
        {
            "DATA.ROOT": str(arguments.data),
            "OUTPUT_DIR": str(arguments.out / f"times_{length}"),
            "SAMPLER.STEPS": arguments.steps // EPOCHS,
            "SOLVER.EPOCHS": epochs,
            "SOLVER.SCHEDULE.EPOCHS": epochs,
            "SOLVER.SCHEDULE.WARMUP": length,
            "CHECKPOINT_EVERY": length,
        },
    )
    reports = run.train(resume=True)
    return {
        name: {"mean": report.to_json()["mean"], "spread": report.spread, "chance": report.mean.chance}
        for name, report in reports.items()
    }


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--data", type=path_argument, default=Path("datasets/difficulty"), help="made where it is missing"
    )
    made.add_argument("--out", type=path_argument, default=Path("runs/synthetic_difficulty"))
    made.add_argument("--steps", type=int, default=200, help="of the short run (default 200)")
    made.add_argument("--json", type=path_argument)
    return made


@guarded
def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    people = Recipe(identities=220, test_identities=60, images=8, size=(128, 64), seed=0)
    write_dataset(arguments.data, people)
    results = {f"{arguments.steps * length} steps": trained(length, arguments) for length in LENGTHS}
    words = ["python", "benchmarks/speed/synthetic_difficulty.py", *(sys.argv[1:] if argv is None else argv)]
    if arguments.json:
        write_json(arguments.json, {"command": shlex.join(words), "results": results})
    for steps, protocols in results.items():
        for name, result in protocols.items():
            print(f"{steps}, {name}: rank-1 {100 * result['mean']['rank1']:.1f} (chance {100 * result['chance']:.1f})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
