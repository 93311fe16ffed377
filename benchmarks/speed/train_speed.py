"""Images per second of a training step, compared with the same network in float32 and losses written as loops.

    python benchmarks/speed/train_speed.py --json benchmarks/results/train_speed.json

- Trainer: vireid's trainer on a memory-mapped image cache. A step gathers the batch, augments it, and runs forward,
  losses, backward and optimizer; in bfloat16 and channels_last on devices with bfloat16 instructions.
- Reference: the same network and weights in float32 and NCHW, losses with a Python loop over anchors. Its batches are
  normalized before the measurement, so its time contains no data loading. Both give the same loss (checked).

Repeats of the two alternate in one run. Rates are medians, with minimum and maximum. FLOPs are those of convolutions
and matrix products, counted by torch, and are compared with the largest rate that plain matrix products reach on this
machine, measured between the repeats: in float32, and in bfloat16 if the run computes in it. A processor without
bfloat16 instructions emulates them, which takes minutes for one product; it is skipped.

If other programs use the cores, rates are not reliable: use `--threads 1` and the ratio of CPU seconds, which do not
include waiting. (With several threads, threads spin while they wait for one that was interrupted.)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vireid.config import Build, load_checked
from vireid.core.errors import guarded
from vireid.core.types import Batch, DatasetInfo, Modality, Progress, Sample
from vireid.data.images.image_set import TrainingBatches
from vireid.data.loading import BatchLoader
from vireid.data.rows import open_array
from vireid.engine.callbacks import TrainingLog
from vireid.engine.compiling import compile_for_training
from vireid.engine.distributed import Environment
from vireid.engine.optim import parameter_groups
from vireid.engine.trainer import Trainer
from vireid.runs.folder import RunFolder
from vireid.runs.log import JsonLines

ROOT = Path(__file__).parents[2]
SIZE = (288, 144)
MATRIX = {"cuda": 8192, "cpu": 2048}  # rows of the matrices whose product is timed
FACTS = DatasetInfo(num_ids=395, num_cameras=6)  # of SYSU-MM01's training set
PEOPLE, SHOTS = 64, 4  # in the image cache: identities, images of each in each modality


# -- plain losses, one anchor after another --------------------------------------------------------------------------


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.stack([-F.log_softmax(row, dim=0)[label] for row, label in zip(logits, labels.tolist())]).mean()


def distances(rows: Tensor) -> Tensor:
    square = rows.square().sum(dim=1)
    return (square[:, None] + square[None] - 2 * rows @ rows.T).clamp(min=1e-12).sqrt()


def batch_hard(features: Tensor, labels: Tensor, margin: float = 0.3) -> Tensor:
    distance, terms = distances(features), []
    for anchor in range(len(features)):
        same = labels == labels[anchor]
        terms.append((distance[anchor][same].max() - distance[anchor][~same].min() + margin).clamp(min=0))
    return torch.stack(terms).mean()


def weighted_regularised(features: Tensor, labels: Tensor) -> Tensor:
    """AGW's triplet as released, one row of weights after another."""
    distance, terms = distances(features), []
    for anchor in range(len(features)):
        same = labels == labels[anchor]
        near, far = distance[anchor][same], distance[anchor][~same]
        pull, push = torch.exp(near - near.max()), torch.exp(-far)
        pull, push = pull / (pull.sum() + 1e-6), push / (push.sum() + 1e-6)
        terms.append(F.softplus((pull * near).sum() - (push * far).sum()))
    return torch.stack(terms).mean()


def centres(features: Tensor, labels: Tensor, modality: Tensor) -> tuple[Tensor, Tensor]:
    keys = sorted(set(zip(labels.tolist(), modality.tolist())))
    means = [features[(labels == label) & (modality == kind)].mean(dim=0) for label, kind in keys]
    return torch.stack(means), torch.tensor([label for label, _ in keys], device=labels.device)


def hetero_centre(features: Tensor, labels: Tensor, modality: Tensor) -> Tensor:
    return batch_hard(*centres(features, labels, modality))


def margin_mmd(features: Tensor, labels: Tensor, modality: Tensor, margin: float = 1.4) -> Tensor:
    terms = []
    for label in sorted(set(labels.tolist())):
        x, y = (features[(labels == label) & (modality == kind)] for kind in Modality)
        rows = torch.cat([x, y])
        squared, n = (rows[:, None] - rows[None]).square().sum(-1), len(rows)
        bandwidth = squared.detach().sum() / (n * n - n) / 4
        kernel = torch.stack([torch.exp(-squared / (bandwidth * 2**q + 1e-9)) for q in range(5)]).sum(dim=0)
        m = len(x)
        value = kernel[:m, :m].mean() + kernel[m:, m:].mean() - kernel[:m, m:].mean() - kernel[m:, :m].mean()
        terms.append(value if value > margin else value * 0)
    return torch.stack(terms).mean()


def _baseline(f: dict[str, Tensor], labels: Tensor, modality: Tensor) -> Tensor:
    return cross_entropy(f["logits"], labels) + batch_hard(f["features"], labels)


def _agw(f: dict[str, Tensor], labels: Tensor, modality: Tensor) -> Tensor:
    return cross_entropy(f["logits"], labels) + weighted_regularised(f["features"], labels)


def _mmd(f: dict[str, Tensor], labels: Tensor, modality: Tensor) -> Tensor:
    metric = 2 * hetero_centre(f["features"], labels, modality) + 0.25 * margin_mmd(f["features"], labels, modality)
    return cross_entropy(f["logits"], labels) + metric


def _hct(f: dict[str, Tensor], labels: Tensor, modality: Tensor) -> Tensor:
    total = hetero_centre(f["features"], labels, modality)
    for part in range(f["part_logits"].shape[1]):
        total = total + cross_entropy(f["part_logits"][:, part], labels)
        total = total + hetero_centre(f["part_features"][:, part], labels, modality)
    return total


PLAIN: dict[str, Callable[[dict[str, Tensor], Tensor, Tensor], Tensor]] = {
    "baseline": _baseline,
    "agw": _agw,
    "hct": _hct,
    "mmd": _mmd,
}


# -- the two that are compared ---------------------------------------------------------------------------------------


class Unsaved:
    """Checkpoint folder that writes nothing: checkpoints are not part of a step."""

    def save(self, *_: Any, **__: Any) -> Path:
        return Path()


class Ours:
    """The trainer on a cache of random images."""

    def __init__(self, build: Build, environment: Environment, folder: Path) -> None:
        samples, images = write_cache(folder)
        model, objective = parts(build)
        sampler = build.sampler(samples)
        pin = environment.device.type == "cuda"
        self.log = JsonLines(RunFolder(folder).log)
        self.trainer = Trainer(
            model=model,
            objective=objective,
            optimizer=build.optimizer(parameter_groups(model, objective, build.lr_scale())),
            schedule=lambda epoch: 1e-3,  # random images teach nothing; they must not make the loss diverge
            batches=TrainingBatches(BatchLoader(samples, images, sampler, pin=pin), sampler),
            augment=build.augment(),
            environment=environment,
            checkpoints=Unsaved(),  # type: ignore[arg-type]
            epochs=0,
            callbacks=[TrainingLog(self.log, every=0, say=lambda text: None)],
            say=lambda text: None,
        )
        if build.config.COMPILE:
            compile_for_training(model.backbone)

    def repeat(self) -> tuple[float, float]:
        """An epoch: images a second, and the share of it that was spent waiting for batches."""
        self.trainer.epochs += 1
        self.trainer.fit()
        record = self.log.read()[-1]
        return record["images_per_second"], record["waiting"]


class Plain:
    """float32, NCHW, loops, ready batches."""

    def __init__(self, build: Build, device: torch.device, batches: list[Batch], method: str) -> None:
        model, objective = parts(build)
        self.model = model.to(device).train()
        self.batches = [
            batch.to(device).with_images(batch.images.to(device).contiguous(memory_format=torch.contiguous_format))
            for batch in batches
        ]
        self.loss = PLAIN[method]
        self.optimizer = torch.optim.SGD(
            parameter_groups(model, objective, build.lr_scale()), lr=1e-4, momentum=0.9, nesterov=True
        )

    def step(self, batch: Batch) -> None:
        out = self.model(batch)
        loss = self.loss(dict(out.values), batch.labels, batch.modality)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        loss.item()

    def repeat(self) -> float:
        began = time.perf_counter()
        for batch in self.batches:
            self.step(batch)
        return sum(map(len, self.batches)) / (time.perf_counter() - began)


def parts(build: Build) -> tuple[Any, Any]:
    torch.manual_seed(0)
    model = build.model(weights=False)
    return model, build.objective(model)


def write_cache(folder: Path) -> tuple[list[Sample], np.ndarray]:
    """People and a memory map of random images, as `open_images` gives it."""
    rows = range(PEOPLE * 2 * SHOTS)
    samples = [Sample(Path(f"{row}"), row // (2 * SHOTS), Modality(row // SHOTS % 2), 1) for row in rows]
    random = np.random.default_rng(0).integers(0, 256, (len(samples), *SIZE, 3), dtype=np.uint8)
    np.save(folder / "images.npy", random)
    return samples, open_array(folder / "images.npy")


def same_loss(build: Build, method: str, batch: Batch) -> None:
    """Loops and our objective agree in float32 on features as far apart as in training."""
    model, objective = parts(build)
    with torch.no_grad():
        out = model.train()(batch)
        total, _ = objective(batch, out, Progress())
        plain = PLAIN[method](dict(out.values), batch.labels, batch.modality)
    torch.testing.assert_close(plain, total, rtol=1e-3, atol=1e-3)


# -- the hardware ------------------------------------------------------------------------------------------------------


def flops(build: Build, batch: Batch, device: torch.device) -> int:
    """Of one step on one batch: convolutions and matrix products, forward and backward."""
    model, objective = parts(build)
    model.to(device)
    batch = batch.to(device)
    counter = FlopCounterMode(display=False)
    with counter:
        objective(batch, model.train()(batch), Progress())[0].backward()
    return counter.get_total_flops()


def matrix_rate(kind: torch.dtype, device: torch.device) -> float:
    """FLOP/s of a square matrix product, the best of a few."""
    size = MATRIX[device.type]
    a, b = torch.randn(2, size, size, dtype=kind, device=device)
    best = float("inf")
    for _ in range(4):
        began = time.perf_counter()
        result = a @ b
        result[0, 0].item()
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def spread(values: list[float], digits: int = 2) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


# -- the run -----------------------------------------------------------------------------------------------------------


def settings(options: argparse.Namespace) -> list[str]:
    per_modality = SHOTS
    identities, rest = divmod(options.batch, 2 * per_modality)
    if rest or identities < 2:
        raise SystemExit(f"--batch must be a multiple of {2 * per_modality} from {4 * per_modality} on")
    return [
        *("MODEL.BACKBONE.ARCH", options.arch, "MODEL.BACKBONE.PRETRAINED", "false"),
        *("SAMPLER.IDENTITIES", str(identities), "SAMPLER.PER_MODALITY", str(per_modality)),
        *("SAMPLER.STEPS", str(options.steps), "SIZE", f"[{SIZE[0]}, {SIZE[1]}]"),
        *("COMPILE", str(options.compile).lower(), "PRECISION", options.precision),
    ]


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    checked = load_checked(ROOT / "configs" / "sysu" / f"{options.method}.yml", settings(options))
    build = Build(checked, FACTS)
    environment = Environment(device=options.device, precision=options.precision)
    device = environment.device
    ours, augment = Ours(build, environment, folder), build.augment()
    ready = [augment(batch, epoch=0, step=number) for number, batch in enumerate(ours.trainer.batches.epoch(0))]
    plain = Plain(build, device, ready, options.method)
    same_loss(build, options.method, ready[0])
    work = flops(build, ready[0], device) / len(ready[0])
    ours.repeat()  # to warm up
    plain.step(plain.batches[0])
    ours_rate, waiting, plain_rate, cpu = [], [], [], {"ours": 0.0, "plain": 0.0}
    kind = torch.bfloat16 if environment.bf16 else torch.float32  # of the network's products
    peaks: dict[torch.dtype, list[float]] = {kind: [], torch.float32: []}
    for _ in range(options.repeats):
        began = time.process_time()
        rate, waited = ours.repeat()
        cpu["ours"] += time.process_time() - began
        ours_rate.append(rate)
        waiting.append(waited)
        began = time.process_time()
        plain_rate.append(plain.repeat())
        cpu["plain"] += time.process_time() - began
        for measured, found in peaks.items():
            found.append(matrix_rate(measured, device))
    images = options.repeats * sum(map(len, ready))
    peak = {measured: max(found) for measured, found in peaks.items()}
    achieved = work * statistics.median(ours_rate)
    pairs = [a / b for a, b in zip(ours_rate, plain_rate)]
    return {
        "method": options.method,
        "arch": options.arch,
        "batch": options.batch,
        "compile": options.compile,
        "precision": environment.precision,
        "ours_images_per_s": spread(ours_rate),
        "plain_images_per_s": spread(plain_rate),
        "ratio": spread(pairs),
        "waiting_share": spread(waiting, 4),
        "gflop_per_image": round(work / 1e9, 2),
        "achieved_gflops": round(achieved / 1e9, 1),
        "matrix_peak_gflops": {str(k).removeprefix("torch."): round(v / 1e9, 1) for k, v in peak.items()},
        "share_of_peak": round(achieved / peak[kind], 3),
        "plain_share_of_float32_peak": round(work * statistics.median(plain_rate) / peak[torch.float32], 3),
        "cpu_seconds_per_image": {name: round(seconds / images, 4) for name, seconds in cpu.items()},
        "cpu_seconds_ratio": round(cpu["plain"] / cpu["ours"], 2),
    }


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="time a full training step against a plain one")
    parser.add_argument("--method", choices=sorted(PLAIN), default="agw")
    parser.add_argument("--arch", default="resnet50", help="any timm CNN with four stages (default resnet50)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("auto", "bf16", "float32"), default="auto")
    parser.add_argument("--batch", type=int, default=32, help="images in a batch (default 32)")
    parser.add_argument("--steps", type=int, default=3, help="steps in a repeat (default 3)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: one for each core")
    parser.add_argument("--compile", action="store_true", help="ours with COMPILE true")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    return parser


@guarded
def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
    for name, value in result.items():
        print(f"{name:30}{value}")
    if options.json:
        load = os.getloadavg()
        shown = {**vars(options), "json": str(options.json)}
        words = [f"--{k} {v}" for k, v in shown.items() if not isinstance(v, bool)] + ["--compile"] * options.compile
        record = {
            "command": f"python benchmarks/speed/train_speed.py {' '.join(words)}",
            "machine": {
                "device": torch.cuda.get_device_name() if options.device == "cuda" else platform.machine(),
                "cores": os.cpu_count(),
                "threads": torch.get_num_threads(),
                "load_average_at_the_end": [round(value, 2) for value in load],
            },
            "versions": {"python": platform.python_version(), "torch": str(torch.__version__)},
            "results": [result],
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
