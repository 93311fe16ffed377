"""A run of one epoch on images of several sizes, color modes and EXIF orientations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vireid.experiment import Experiment
from vireid.runs.results import read_embeddings

BASE = Path(__file__).parents[3] / "configs" / "csv" / "baseline.yml"


def write_images(root: Path) -> None:
    """Four training and four test identities: visible images in color, infrared ones in gray, some with EXIF data."""
    rng, lines = np.random.default_rng(0), ["path,identity,camera,modality,split"]
    for identity in range(8):
        for camera, modality in ((1, "visible"), (2, "infrared")):
            for number in range(2):
                shape = (40 + identity, 20 + number)
                pixels = rng.integers(0, 256, shape if modality == "infrared" else (*shape, 3), dtype=np.uint8)
                exif = Image.Exif()
                exif[0x0112] = 6 if identity % 3 == 0 else 1
                name = f"{identity}_{camera}_{number}.png"
                Image.fromarray(pixels).save(root / name, exif=exif)
                lines.append(f"{name},{identity},{camera},{modality},{'train' if identity < 4 else 'test'}")
    (root / "images.csv").write_text("\n".join(lines))


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """Train a run in a new folder: overrides -> folder."""
    root = tmp_path_factory.mktemp("images")
    write_images(root)

    def make(**changes) -> Path:
        out = tmp_path_factory.mktemp("runs") / "run"
        settings = {
            "DATA.ROOT": root,
            "OUTPUT_DIR": out,
            "CACHE_DIR": root / "cache",
            "SIZE": "[32, 16]",
            "MODEL.BACKBONE.ARCH": "test_resnet",
            "MODEL.BACKBONE.PRETRAINED": "false",
            "AUGMENTATION.CROP.NAME": "none",
            "SAMPLER.IDENTITIES": 2,
            "SAMPLER.PER_MODALITY": 2,
            "SAMPLER.STEPS": 2,
            "SOLVER.EPOCHS": 1,
            "EVALUATION.I2V.SAME_CAMERA": "counted",
            "DEVICE": "cpu",
            "PRECISION": "float32",
            "TENSORBOARD": "false",
            **{key.replace("__", "."): value for key, value in changes.items()},
        }
        Experiment.from_config(BASE, [str(word) for pair in settings.items() for word in pair]).train()
        return out

    return make


@pytest.fixture(scope="session")
def run(make_run) -> Path:
    return make_run()


@pytest.fixture(scope="session")
def images(run) -> Path:
    """Folder of the images of the run."""
    return Path(read_embeddings(run).paths[0]).parent
