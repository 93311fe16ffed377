"""A dataset of noise images with a CSV file, small enough to train on in a second."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
HEADER = ["path", "identity", "camera", "modality", "split"]
CONFIG = """
_BASE_: {base}
SIZE: [32, 16]
TENSORBOARD: false
MODEL: {{BACKBONE: {{ARCH: resnet10t, PRETRAINED: false}}}}
SAMPLER: {{IDENTITIES: 2, PER_MODALITY: 2, STEPS: 1}}
SOLVER: {{EPOCHS: 1, SCHEDULE: {{WARMUP: 0, DROPS: [2]}}}}
AUGMENTATION: {{CROP: {{PADDING: 2}}}}
DATA: {{ROOT: {root}}}
CACHE_DIR: {cache}
"""


def write_images(root: Path) -> list[list[str]]:
    """Six identities, four images of each in both modalities, the last two for testing; returns the CSV lines."""
    random, lines = np.random.default_rng(0), []
    for identity in range(6):
        for camera, modality in ((1, "visible"), (3, "infrared")):
            for number in range(4):
                name = f"{identity}_{camera}_{number}.png"
                pixels = random.integers(0, 255, (32, 16, 3), dtype=np.uint8)
                root.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(root / name)
                lines.append([name, f"p{identity}", str(camera), modality, "test" if identity > 3 else "train"])
    return lines


def write_csv(root: Path, lines: list[list[str]]) -> None:
    with (root / "images.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *lines])


def write_config(folder: Path, root: Path, **more: object) -> Path:
    text = CONFIG.format(base=ROOT / "configs" / "csv" / "baseline.yml", root=root, cache=folder / "cache")
    text += "".join(f"{key}: {json.dumps(value)}\n" for key, value in more.items())
    (folder / "tiny_csv.yml").write_text(text, encoding="utf-8")
    return folder / "tiny_csv.yml"


def renamed(lines: list[list[str]], old: str, new: str) -> list[list[str]]:
    """The lines with another name of an identity. Names are numbered in sorted order, so labels may shift."""
    return [[new if cell == old else cell for cell in line] for line in lines]
