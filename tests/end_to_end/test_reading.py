"""A data set with 16-bit infrared frames, identities one a line and files that are not used: from check to results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.fixture
def deep(people: Path, tmp_path: Path) -> Path:
    root = tmp_path / "deep"
    shutil.copytree(people, root)
    for camera in (3, 6):
        for file in (root / f"cam{camera}").glob("*/*.jpg"):
            values = 3000 + 16 * np.asarray(Image.open(file).convert("L")).astype(np.uint16)
            Image.fromarray(values).save(file.with_suffix(".tif"))
            file.unlink()
    for name in ("train", "val", "test"):
        file = root / "exp" / f"{name}_id.txt"
        file.write_text(file.read_text().strip().replace(",", "\n") + "\n")
    (next((root / "cam1").iterdir()) / "notes.txt").touch()
    return root


def test_16_bit_frames_from_check_to_results(run_tool, arguments, deep: Path, tmp_path: Path, capsys) -> None:
    config = str(ROOT / "configs" / "sysu" / "baseline.yml")
    options = arguments(
        tmp_path / "run", "DATA.ROOT", deep, "MODEL.BACKBONE.ARCH", "resnet10t", "MODEL.BACKBONE.PRETRAINED", "false"
    )
    options += ["SAMPLER.STEPS", "1", "SOLVER.EPOCHS", "1"]
    assert run_tool("check_data", "--config-file", config, *options) == 1
    text = capsys.readouterr().out
    infrared = len(list(deep.glob("cam[36]/*/*.tif")))
    assert f"    - {infrared} images of color mode I;16 (16-bit gray), expected RGB or gray of 8 bits" in text
    assert "    - 1 left out: suffix .txt is not an image (" in text
    assert run_tool("train_net", "--config-file", config, *options) == 2
    assert "DATA.DEPTH '{percentiles: [1, 99]}' maps such images to 8 bits" in capsys.readouterr().err
    options += ["DATA.DEPTH", "{percentiles: [1, 99]}", "OUTPUT_DIR", str(tmp_path / "mapped")]
    assert run_tool("check_data", "--config-file", config, *options) == 0
    capsys.readouterr()
    assert run_tool("train_net", "--config-file", config, *options) == 0
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == (
        "1 file or folder of the dataset is not used: 1 suffix .txt is not an image (tools/check_data.py lists them)"
    )
    results = json.loads((tmp_path / "mapped" / "metrics.json").read_text())["results"]
    assert {result["conditions"]["depth"] for result in results.values()} == {"percentiles 1 to 99"}
    assert "DEPTH" in (tmp_path / "mapped" / "config.yml").read_text()
