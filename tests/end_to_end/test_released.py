"""A file as MMD-ReID's code saves it, converted and evaluated: the whole way, with a ResNet-50 of random numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vireid.interop import released
from vireid.zoo.models import config_path

PEOPLE = 6  # of which half are trained on


@pytest.fixture(scope="module")
def regdb(tmp_path_factory, run_tool) -> Path:
    out = tmp_path_factory.mktemp("people") / "regdb"
    options = ("--identities", PEOPLE, "--images", 2, "--size", "64x32", "--workers", 1)
    assert run_tool("make_synthetic", "--layout", "regdb", "--out", out, *options) == 0
    return out


@pytest.fixture(scope="module")
def converted(tmp_path_factory, run_tool) -> Path:
    folder, generator = tmp_path_factory.mktemp("released"), torch.Generator().manual_seed(0)
    tensors = {}
    for key in released.release("mmd").keys:
        shape = [PEOPLE // 2 if size == 395 else size for size in key.shape]
        value = torch.randn(shape, generator=generator) / max(1, np.prod(shape[1:])) ** 0.5
        tensors[key.name] = value.abs() + 0.5 if key.name.endswith("running_var") else value
    scores = {"cmc": np.zeros(20), "mAP": np.float64(0.5), "mINP": np.float64(0.4), "epoch": 60}
    torch.save({"net": tensors, **scores}, folder / "best.t")
    out = folder / "mmd_2.safetensors"
    words = "--from", "mmd", folder / "best.t", out, "--data", "RegDB", "--split", 2
    assert run_tool("convert_checkpoint", *words) == 0
    (folder / "best.t").unlink()
    return out


@pytest.fixture
def evaluate(regdb, converted, cache, tmp_path, run_tool):
    def run(split: int) -> int:
        settings = "DATA.ROOT", regdb, "DATA.SPLIT", split, "SIZE", "[64, 32]", "CACHE_DIR", cache
        words = "--config-file", config_path("regdb/mmd"), "--eval-only", "WEIGHTS", converted, "OUTPUT_DIR", tmp_path
        return run_tool("train_net", *words, *settings)

    return run


@pytest.mark.slow
def test_a_converted_file_is_evaluated(evaluate, converted, tmp_path):
    assert evaluate(2) == 0
    results = json.loads((tmp_path / "metrics.json").read_text())["results"]
    assert results["v2i"]["conditions"]["checkpoint"] == f"given ({converted})"
    assert 0 < results["v2i"]["mean"]["mAP"] <= 1


@pytest.mark.slow
def test_it_belongs_to_its_split(evaluate, capsys):
    assert evaluate(3) == 2
    assert "checkpoint does not match this run: split is 2 in the checkpoint and 3" in capsys.readouterr().err
