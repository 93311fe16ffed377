r"""Synthetic embeddings for the retrieval benchmarks, with the variances of those of a trained model.

    python tools/make_synthetic.py --layout sysu --out datasets/features --identities 1200 --images 4 \
        --test-identities 300 --val-identities 20 --seed 1 --size 96x48 --difficulty 0
    python tools/train_net.py --config-file benchmarks/speed/retrieval_features.yml
    python benchmarks/speed/retrieval_features.py --run runs/features

Fitted: along each principal direction, the variance between identities, between the cameras of one identity, and
between the images of one camera. Sampled: centers of identities, centers of each identity in five cameras, and four
images in each camera, normally distributed with these variances, randomly rotated, then L2-normalized. The variances
are not isotropic: they decrease as those of the trained model. Other widths stretch the curve of the variances.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vireid.core.errors import guarded
from vireid.core.paths import path_argument
from vireid.runs.folder import RunFolder
from vireid.runs.metrics import Metrics
from vireid.runs.results import read_embeddings

MODEL = (
    "resnet10t with AGW, 12 epochs on 900 synthetic people (benchmarks/speed/retrieval_features.yml),"
    " seen on 300 others"
)
FITTED = Path(__file__).parents[1] / "results" / "retrieval_features.json"
IMAGES, CAMERAS = 4, 5  # of an identity in a camera, of an identity
LEVELS = ("identity", "camera", "image")
BLOCK = 100_000  # rows drawn at a time


def fit(features: np.ndarray, identities: np.ndarray, cameras: np.ndarray) -> dict[str, Any]:
    """Variances at the three levels along the principal directions, the largest directions first."""
    features = features.astype(np.float64) / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    _, directions = np.linalg.eigh(np.cov(features.T))
    rows = features @ directions[:, ::-1]
    together = identities * (cameras.max() + 1) + cameras
    images, few = _split(rows, together)
    seen, many = _split(rows, identities)
    seen = seen - images  # of images around their identity: that of cameras, and of images around their camera
    people = ((rows - rows.mean(axis=0)) ** 2).mean(axis=0) - seen - images
    return {
        "width": rows.shape[1],
        "identities": len(np.unique(identities)),
        "images": len(rows),
        "images_of_identity": round(many, 1),
        "images_of_identity_in_camera": round(few, 1),
        "mean_length": round(float(np.linalg.norm(features.mean(axis=0))), 6),
        **{key: [float(f"{v:.4g}") for v in values.clip(0)] for key, values in zip(LEVELS, (people, seen, images))},
    }


def _split(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Variance (D,) of rows around the mean of their label, without bias, and rows of a label."""
    _, groups = np.unique(labels, return_inverse=True)
    counts = np.bincount(groups)
    centers = np.stack([np.bincount(groups, column) for column in rows.T], axis=1) / counts[:, None]
    return ((rows - centers[groups]) ** 2).sum(axis=0) / (len(rows) - len(counts)), float(counts.mean())


@cache
def fitted() -> dict[str, Any]:
    return json.loads(FITTED.read_text(encoding="utf-8"))


def _stretched(values: list[float], width: int) -> np.ndarray:
    """The curve of variances over more or fewer directions, with the same sum."""
    old = np.linspace(0, 1, len(values))
    curve = np.interp(np.linspace(0, 1, width), old, np.asarray(values))
    return curve * (sum(values) / curve.sum())


def draw(number: int, width: int, *, seed: int = 0) -> np.ndarray:
    """(N, D) float32 unit rows of N / 20 identities, in random order; the same for the same arguments."""
    model, generator = fitted(), torch.Generator().manual_seed(seed)
    identity, camera, image = (torch.from_numpy(_stretched(model[key], width)).float().sqrt() for key in LEVELS)
    rotation = torch.linalg.qr(torch.randn(width, width, generator=generator))[0]
    mean = torch.randn(width, generator=generator)
    mean *= model["mean_length"] / mean.norm()
    people = torch.randn(max(1, number // (IMAGES * CAMERAS)), width, generator=generator) * identity
    rows = torch.empty(number, width)
    for start in range(0, number, BLOCK):
        part = rows[start : start + BLOCK]
        of = torch.randint(0, len(people) * CAMERAS, (-(-len(part) // IMAGES),), generator=generator)
        seen = people[of // CAMERAS] + torch.randn(len(of), width, generator=generator) * camera
        images = seen.repeat_interleave(IMAGES, dim=0)[: len(part)]
        images = images + torch.randn(len(part), width, generator=generator) * image
        torch.nn.functional.normalize(images @ rotation + mean, dim=1, out=part)
    return rows[torch.randperm(number, generator=generator)].numpy()


def conditions() -> dict[str, Any]:
    """What a number of these benchmarks must be printed with."""
    import faiss

    versions = {"python": platform.python_version(), "numpy": np.__version__, "torch": str(torch.__version__)}
    return {
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "versions": {**versions, "faiss": faiss.__version__},
        "features": {key: fitted()[key] for key in ("model", "width", "identities", "images")},
    }


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="fit the features of a trained model")
    parser.add_argument("--run", type=path_argument, required=True, help="a training with SAVE_FEATURES")
    parser.add_argument("--model", default=MODEL, help="which model, in words")
    parser.add_argument("--json", type=path_argument, default=FITTED)
    options = parser.parse_args(argv)
    saved = read_embeddings(options.run)
    result = fit(saved.features, saved.labels, saved.cameras)
    reports = Metrics.read(RunFolder(options.run).metrics).reports
    options.json.parent.mkdir(parents=True, exist_ok=True)
    rank1 = round(reports["all"].means["rank1"], 3)
    options.json.write_text(json.dumps({"model": options.model, "rank1": rank1, **result}) + "\n", encoding="utf-8")
    for key in LEVELS:
        share = np.cumsum(np.sort(result[key])[::-1]) / np.sum(result[key])
        print(f"{key}: variance {np.sum(result[key]):.3f}, 90% of it in {np.searchsorted(share, 0.9) + 1} directions")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
