"""Accuracy with attributes on synthetic data: six training variants, each evaluated with three attribute sources.

    python benchmarks/speed/attributes_synthetic.py --json benchmarks/results/attributes_synthetic.json
    python benchmarks/speed/attributes_synthetic.py --table benchmarks/results/attributes_synthetic.json

The data has the layout of SYSU-MM01, with attributes. Each variant is `configs/demo/sysu_mmd_pae_aal.yml` with some
components removed, trained once for each seed: attribute labels in training, and with PAE a loss of the predictor and
attribute dropout. `mixed` trains with predictions in place of the labels of half of the rows. Each checkpoint is
evaluated with the labels of the test identities (an oracle), with the attributes that the network predicts from the
image, and with the training mean for all images.

Finished runs are not repeated: after an interruption, start the same command again. Several commands may share one
--work folder (--seeds 0, --seeds 1 2); each writes the JSON of all runs in it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vireid.core.errors import guarded
from vireid.core.io import write_json
from vireid.core.paths import path_argument
from vireid.engine.distributed import Environment
from vireid.evaluation.report import DAGGER, ORACLE_NOTE
from vireid.experiment.experiment import Experiment
from vireid.runs.folder import RunFolder
from vireid.runs.log import JsonLines
from vireid.synthetic import Recipe, write_dataset

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "demo" / "sysu_mmd_pae_aal.yml"
PEOPLE = Recipe(
    layout="sysu",
    identities=300,
    images=4,
    seed=7,
    size=(128, 64),
    difficulty=0.2,
    test_identities=60,
    val_identities=1,
)
SETTINGS: dict[str, Any] = {
    "MODEL.BACKBONE.ARCH": "test_resnet",  # timm's small ResNet for tests: 96 channels, 0.45 M weights
    "SOLVER.LR": 2e-3,  # from 4e-3 on runs with AAL collapse: all embeddings become equal
    "SOLVER.EPOCHS": 8,
    "SOLVER.SCHEDULE.EPOCHS": 8,
    "SAMPLER.STEPS": 50,
    "TENSORBOARD": False,
    "CHECKPOINT_EVERY": 8,
}
NONE = "none"
NO_PAE = {"MODEL.ADAPTER.NAME": NONE, "MODEL.ATTRIBUTES.NAME": NONE, "OBJECTIVE.ATTRIBUTE_PRIOR.NAME": NONE}
NO_AAL = {"MODEL.HEADS.ATTRIBUTES.NAME": NONE, "OBJECTIVE.ATTRIBUTES.NAME": NONE}
STAGES = {n: {f"MODEL.ADAPTER.STAGES.EMB{n}.NAME": NONE} for n in (1, 2, 3)}
VARIANTS: dict[str, dict[str, Any]] = {
    "MMD": {**NO_PAE, **NO_AAL},
    "+AAL": {**NO_PAE, "MODEL.HEADS.ATTRIBUTES.USES": {"attribute_feature": "pooled"}},
    "+PAE": NO_AAL,
    "+AAL+Emb1": {**STAGES[2], **STAGES[3]},
    "+AAL+Emb1+2": STAGES[3],
    "+AAL+Emb1+2+3": {},
    "+AAL+Emb1+2+3, mixed": {"MODEL.ATTRIBUTES.TRAIN": "mixed", "MODEL.ATTRIBUTES.PROBABILITY": 0.5},
}
SOURCES = ("labels", "predicted", "prior")
SHOWN = ("rank1", "mAP", "mINP")


def run(variant: str, seed: int, work: Path) -> dict[str, Any]:
    """Train once and evaluate with each attribute source; variants without PAE have no attribute source."""
    name = "".join(letter if letter.isalnum() else "_" for letter in variant)
    folder = work / f"{name}_{seed}"
    done = folder / "result.json"
    if done.is_file():
        return json.loads(done.read_text(encoding="utf-8"))
    settings = {
        "SEED": seed,
        "DATA.ROOT": str(work / "people"),
        "DATA.ATTRIBUTES": str(work / "people" / "sysu_attribute"),
        "CACHE_DIR": str(work / "cache"),
        "OUTPUT_DIR": str(folder / "run"),
        **SETTINGS,
        **VARIANTS[variant],
    }
    began = time.perf_counter()
    first = Experiment.from_config(CONFIG, settings)
    reports = first.train(resume=True)
    trained = time.perf_counter() - began
    epochs = [record for record in JsonLines(RunFolder(folder / "run").log).read() if record["event"] == "epoch"]
    results = {NONE: reports}
    if settings.get("MODEL.ATTRIBUTES.NAME") != NONE:
        results = {"predicted": reports}
        for source in SOURCES:
            if source not in results:
                other = {**settings, "OUTPUT_DIR": str(folder / source), "MODEL.ATTRIBUTES.TEST": source}
                other |= {"MODEL.ATTRIBUTES.PREDICTOR": True, "WEIGHTS": str(checkpoint(folder / "run"))}
                results[source] = Experiment.from_config(CONFIG, other).evaluate()
    found = {
        "variant": variant,
        "seed": seed,
        "seconds": round(time.perf_counter() - began, 1),
        "seconds_of_training": round(trained, 1),
        "last_epoch": {k: v for k, v in epochs[-1].items() if k.count("/") < 2 and isinstance(v, float)},
        "results": {
            source: {mode: {name: report.to_json()["mean"][name] for name in SHOWN} for mode, report in modes.items()}
            for source, modes in results.items()
        },
    }
    write_json(done, found)
    return found


def checkpoint(folder: Path) -> Path:
    return max((folder / "checkpoints").glob("epoch_*"))


def summary(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and sample standard deviation over seeds, for each variant, source and mode."""
    rows = []
    for variant in VARIANTS:
        mine = [each for each in runs if each["variant"] == variant]
        for source in dict.fromkeys(source for each in mine for source in each["results"]):
            of = [each["results"][source] for each in mine]
            modes = {mode: {name: _spread([one[mode][name] for one in of]) for name in SHOWN} for mode in of[0]}
            rows.append({"variant": variant, "source": source, "seeds": len(of), "oracle": source == "labels", **modes})
    return rows


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    return {"mean": statistics.mean(values), "std": statistics.stdev(values) if len(values) > 1 else None}


def table(found: Mapping[str, Any], mode: str = "all") -> str:
    """Format the summary as Markdown, in percent."""
    lines = ["| variant | attributes at test time | seeds | rank-1 | mAP | mINP |", "|---|---|---|---|---|---|"]
    for row in found["summary"]:
        mark = f" {DAGGER}" if row["oracle"] else ""
        cells = [f"{_percent(row[mode][name])}{mark}" for name in SHOWN]
        lines.append(f"| {row['variant']} | {row['source']}{mark} | {row['seeds']} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", ORACLE_NOTE])


def _percent(value: Mapping[str, float | None]) -> str:
    assert value["mean"] is not None
    spread = "" if value["std"] is None else f" ± {100 * value['std']:.1f}"
    return f"{100 * value['mean']:.1f}{spread}"


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME")
    parser.add_argument(
        "--work", type=path_argument, default=Path("runs/attributes_synthetic"), help="people, cache and runs"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=path_argument, help="write all runs and their summary here")
    parser.add_argument("--table", type=path_argument, metavar="JSON", help="only print the Markdown table of a JSON")
    return parser


@guarded
def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    if arguments.table:
        found = json.loads(arguments.table.read_text(encoding="utf-8"))
        print("all search\n\n" + table(found, "all") + "\n\nindoor search\n\n" + table(found, "indoor"))
        return 0
    torch.set_num_threads(arguments.threads)
    write_dataset(arguments.work / "people", PEOPLE, workers=1)
    for seed in arguments.seeds:
        for variant in arguments.variants:
            print(f"== {variant}, seed {seed}", flush=True)
            run(variant, seed, arguments.work)
    finished = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(arguments.work.glob("*/result.json"))]
    found = {
        "command": "python benchmarks/speed/attributes_synthetic.py"
        " --json benchmarks/results/attributes_synthetic.json",
        "config": str(CONFIG.relative_to(ROOT)),
        "people": {name: getattr(PEOPLE, name) for name in ("identities", "test_identities", "images", "difficulty")},
        "settings": SETTINGS,
        "variants": VARIANTS,
        "environment": Environment(device="cpu", precision="auto").describe(),
        "summary": summary(finished),
        "runs": finished,
    }
    if arguments.json:
        write_json(arguments.json, found)
    print(table(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
