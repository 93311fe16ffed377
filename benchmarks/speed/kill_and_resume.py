"""Kill a training with SIGKILL at random moments, resume it, and compare it with an uninterrupted run.

    python benchmarks/speed/kill_and_resume.py --kills 20 --json benchmarks/results/kill_and_resume.json

A very small network on synthetic images, on the CPU with one thread, with an EMA of the weights; evaluated and saved
after every epoch. One run is not interrupted. Each other run is a process that is killed once, at a moment sampled from
the seed: the stages of the run in turn, an epoch, and a share of the duration of the stage. Then it is resumed. These
must be bitwise equal: all tensors and values of the last checkpoint (network, EMA, objective, optimizer, progress), all
losses in the log and all results. The exit code is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from vireid.core.errors import UserError, guarded
from vireid.core.io import TEMPORARY, write_json
from vireid.core.paths import path_argument
from vireid.engine.checkpoint import CheckpointFolder
from vireid.runs.folder import RunFolder
from vireid.runs.log import JsonLines
from vireid.runs.metrics import Metrics
from vireid.synthetic import Recipe, write_dataset

ROOT = Path(__file__).resolve().parents[2]
CONFIG = str(ROOT / "configs/demo/sysu_mmd.yml")
EPOCHS = 3
STAGES = ("set-up", "training", "evaluation", "checkpoint", "last evaluation")  # as a run goes through them
IN_TURN = ("checkpoint", "training", "evaluation", "set-up", "last evaluation")  # as they are killed
MISSING = object()
TIMES = ("images_per_second", "waiting")  # of a log record; everything else must repeat
LOOK_EVERY = 0.001  # seconds
LIMIT = 300  # seconds in which a run of a few has to end

Stage = tuple[str, int]  # name and epoch


@dataclass(frozen=True)
class Kill:
    """When a run is to be killed: after a share of the time that the stage took in the run that was left alone."""

    stage: str
    epoch: int
    share: float


def drawn(kills: int, seed: int) -> list[Kill]:
    """The moments: every stage in turn, epochs and shares at random."""
    draw, moments = random.Random(seed), []
    for number in range(kills):
        stage = IN_TURN[number % len(IN_TURN)]
        epoch = {"set-up": 1, "last evaluation": EPOCHS}.get(stage, draw.randint(1, EPOCHS))
        moments.append(Kill(stage, epoch, round(draw.random(), 4)))
    return moments


def stage_of(run: Path) -> Stage:
    """What a run is doing, or was doing when it ended, as its folder shows it."""
    records = JsonLines(RunFolder(run).log).read()
    if not records:
        return "set-up", 1
    event, epoch = records[-1]["event"], records[-1].get("epoch", EPOCHS)
    if event == "evaluation" and (run / "checkpoints" / f"epoch_{epoch:04d}").exists():
        return ("last evaluation", epoch) if epoch == EPOCHS else ("training", epoch + 1)
    names = {"step": "training", "epoch": "evaluation", "evaluation": "checkpoint", "result": "end"}
    return names[event], epoch


class Runs:
    """Starts processes of one and the same training."""

    def __init__(self, folder: Path, config: str, overrides: list[str]) -> None:
        self.folder = folder
        recipe = Recipe(identities=24, images=2, size=(64, 32), seed=3)
        write_dataset(folder / "people", recipe, workers=1, progress=False)
        settings = {
            "DATA.ROOT": folder / "people",
            "DEVICE": "cpu",
            "SIZE": "[64, 32]",
            "AUGMENTATION.CROP.PADDING": 5,
            "MODEL.BACKBONE.ARCH": "resnet10t",
            "MODEL.BACKBONE.PRETRAINED": "false",
            "SAMPLER.IDENTITIES": 4,
            "SAMPLER.STEPS": 4,
            "SOLVER.EPOCHS": EPOCHS,
            "EMA": 0.9,
            "EVALUATE_EVERY": 1,
            "LOG_EVERY": 1,
            "TENSORBOARD": "false",
        }
        words = [str(word) for pair in settings.items() for word in pair]
        self.command = [sys.executable, str(ROOT / "tools" / "train_net.py"), "--config-file", config, "--resume"]
        self.settings = [*words, *overrides]

    def start(self, run: Path) -> subprocess.Popen[str]:
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
        words = [*self.command, *self.settings, "OUTPUT_DIR", str(run), "CACHE_DIR", f"{run}_cache"]
        return subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def whole(self, run: Path) -> dict[Stage, float]:
        """Run to the end; the seconds of each stage."""
        spent: dict[Stage, float] = defaultdict(float)
        process, now = self.start(run), time.monotonic()
        began = now
        while process.poll() is None and now - began < LIMIT:
            stage = stage_of(run)
            time.sleep(LOOK_EVERY)
            before, now = now, time.monotonic()
            spent[stage] += now - before
        ended(process)
        return dict(spent)

    def killed(self, run: Path, kill: Kill, seconds: float) -> dict[str, Any]:
        """Run until the moment of the kill; what the run was doing then, and what lies half-written in its folder."""
        process, began = self.start(run), time.monotonic()
        wanted = order((kill.stage, kill.epoch))
        while order(stage_of(run)) < wanted and process.poll() is None and time.monotonic() - began < LIMIT:
            time.sleep(LOOK_EVERY)
        time.sleep(kill.share * seconds)
        process.kill()
        alive = process.wait() < 0
        if not alive:
            ended(process)
        name, epoch = stage_of(run) if alive else ("ended before", EPOCHS)
        unfinished = len(list(run.rglob(f"{TEMPORARY}*")))
        return {"killed_in": name, "in_epoch": epoch, "unfinished": unfinished}


def order(stage: Stage) -> tuple[int, int]:
    """Stages in the order in which a run goes through them."""
    name, epoch = stage
    return (epoch if name != "set-up" else 0), [*STAGES, "end"].index(name)


def ended(process: subprocess.Popen[str]) -> None:
    """UserError with what the process said, unless it ended well."""
    try:
        _, said = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        raise UserError(f"a run of a few seconds did not end in {LIMIT}") from None
    if process.returncode:
        raise UserError(f"a run ended with exit code {process.returncode}:\n{said}")


def content(run: Path) -> dict[str, Any]:
    """Everything that must be the same in two runs: plain values and tensors by name."""
    checkpoint = CheckpointFolder(run / "checkpoints").path(EPOCHS)
    found: dict[str, Any] = {}
    for file in sorted(checkpoint.glob("*.safetensors")):
        found |= {f"{file.stem} {name}": tensor for name, tensor in load_file(file).items()}
    found |= _flat("trainer", torch.load(checkpoint / "trainer.pt", weights_only=True))
    records = [record for record in JsonLines(RunFolder(run).log).read() if record["event"] != "result"]
    found |= _flat("log", [{key: value for key, value in line.items() if key not in TIMES} for line in records])
    reports = Metrics.read(RunFolder(run).metrics).reports
    return found | _flat("results", {name: report.to_json() for name, report in reports.items()})


def _flat(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, (dict, list, tuple)):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {inner: leaf for key, item in items for inner, leaf in _flat(f"{name} {key}", item).items()}


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Names that only one of the two has, or whose values differ in any bit."""
    names = dict.fromkeys([*ours, *theirs])
    return [name for name in names if not _same(ours.get(name, MISSING), theirs.get(name, MISSING))]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and _bits(one) == _bits(other)
    return type(one) is type(other) and one == other


def _bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


def compare(folder: Path, *, kills: int, seed: int, config: str, overrides: list[str]) -> dict[str, Any]:
    """One run that is left alone, and `kills` that are not."""
    runs = Runs(folder, config, overrides)
    spent = runs.whole(folder / "whole")
    reference = content(folder / "whole")
    tensors = sum(isinstance(value, torch.Tensor) for value in reference.values())
    print(f"left alone: {sum(spent.values()):.1f} s; compared are {tensors} tensors, {len(reference)} values in all")
    results = []
    for number, kill in enumerate(drawn(kills, seed), start=1):
        run = folder / f"run_{number:02d}"
        found = runs.killed(run, kill, spent.get((kill.stage, kill.epoch), 0.0))
        ended(runs.start(run))
        differs = differences(content(run), reference)
        results.append({"drawn": asdict(kill), **found, "differing": len(differs), "first": differs[:5]})
        said = f"{len(differs)} DIFFER" if differs else "the same bits"
        print(f"{number:3}  killed in: {found['killed_in']:15} epoch {found['in_epoch']}   {said}", flush=True)
    return {
        "kills": kills,
        "identical": sum(not result["differing"] for result in results),
        "killed_in": dict(Counter(result["killed_in"] for result in results)),
        "compared": {"tensors": tensors, "values": len(reference)},
        "runs": results,
    }


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="runs that are killed (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--config-file", default=CONFIG, metavar="FILE")
    parser.add_argument("--json", type=path_argument, metavar="FILE", help="also write the results to this file")
    parser.add_argument("overrides", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="settings that win over FILE")
    options = parser.parse_args(argv)
    if options.kills < 1:
        raise UserError(f"--kills must be at least 1, got {options.kills}")
    with tempfile.TemporaryDirectory() as folder:
        found = compare(
            Path(folder),
            kills=options.kills,
            seed=options.seed,
            config=options.config_file,
            overrides=options.overrides,
        )
    print(
        f"{found['identical']} of {found['kills']} resumed runs end in the same bits; killed in: {found['killed_in']}"
    )
    if options.json:
        own = [] if options.config_file == CONFIG else ["--config-file", options.config_file]
        words = ["--kills", options.kills, "--seed", options.seed, *own, "--json", options.json, *options.overrides]
        command = shlex.join(["python", "benchmarks/speed/kill_and_resume.py", *map(str, words)])
        record = {"command": command, "torch": torch.__version__, **found}
        write_json(options.json, record)
    return 0 if found["identical"] == found["kills"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
