"""A tiny dataset in the layout of SYSU-MM01."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# identity -> cameras it was seen by; 5 and 12 train, 7 val, 3 and 20 test
CAMERAS_OF = {5: (1, 2, 3, 6), 12: (4, 5, 6), 7: (2, 3), 3: (1, 2, 4, 3, 6), 20: (5, 6)}
SPLIT = {"train_id.txt": "5,12", "val_id.txt": "7", "test_id.txt": "20,3"}


def write_image(file: Path, seed: int, size: tuple[int, int] = (40, 20), mode: str = "RGB") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    shape = size if mode == "L" else (*size, len(mode))
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), mode).save(file)


@pytest.fixture
def make_image() -> Callable[..., None]:
    return write_image


@pytest.fixture
def sysu_root(tmp_path: Path) -> Path:
    """Three training and two test identities, two images in each folder."""
    root = tmp_path / "SYSU"
    for camera in range(1, 7):
        (root / f"cam{camera}").mkdir(parents=True)
    for identity, cameras in CAMERAS_OF.items():
        for camera in cameras:
            for number in (1, 2):
                write_image(root / f"cam{camera}" / f"{identity:04d}" / f"{number:04d}.jpg", identity * 100 + number)
    (root / "exp").mkdir()
    for name, line in SPLIT.items():
        (root / "exp" / name).write_text(line + "\n")
    return root
