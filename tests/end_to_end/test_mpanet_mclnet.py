"""MPANet and MCLNet, whose losses keep state: they learn, and a run in pieces ends in the same bits as a whole one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vireid.config.loader import load_config

CONFIGS = Path(__file__).parents[2] / "configs"
METHODS = ("mpanet", "mclnet")


@pytest.fixture(scope="module")
def made() -> dict[str, Path]:
    return {}


@pytest.fixture
def layouts(made, people, run_tool, tmp_path_factory):
    """Layout -> folder of 24 synthetic people, made once where it is asked for."""
    made["sysu"] = people

    def make(layout: str) -> Path:
        if layout not in made:
            made[layout] = tmp_path_factory.mktemp("people") / layout
            size = ["--identities", 24, "--images", 2, "--size", "64x32", "--seed", 3, "--workers", 1]
            assert run_tool("make_synthetic", "--layout", layout, "--out", made[layout], *size) == 0
        return made[layout]

    return make


@pytest.fixture
def small(layouts, train):
    """Train a shipped config, small, into a folder; its records of epochs."""

    def run(out: Path, layout: str, method: str, *words: object) -> list[dict]:
        settings = {
            "DATA.ROOT": layouts(layout),
            "MODEL.BACKBONE.ARCH": "resnet10t",
            "MODEL.BACKBONE.PRETRAINED": False,
            "SAMPLER.PER_MODALITY": 2,
            "SOLVER.SCHEDULE.WARMUP": 0,
            "SOLVER.EPOCHS": 2,
            **dict(zip(words[::2], words[1::2], strict=True)),
        }
        pairs = [word for pair in settings.items() for word in pair]
        assert train(out, "--resume", *pairs, config=str(CONFIGS / layout / f"{method}.yml")) == 0
        records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        return [record for record in records if record["event"] == "epoch"]

    return run


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["sysu", "regdb", "llcm"])
@pytest.mark.parametrize("method", METHODS)
def test_two_epochs_lower_the_loss(small, tmp_path, method, layout):
    rate = {"mpanet": 3.5e-4, "mclnet": 0.02}[method]  # no pretrained weights here: MCLNet's released rate is too large
    run = tmp_path / "run"
    first, second = small(run, layout, method, "SAMPLER.STEPS", 8, "SOLVER.LR", rate)
    assert second["loss"] < first["loss"]
    config = load_config(CONFIGS / layout / f"{method}.yml")
    assert {name.lower() for name in config.OBJECTIVE} <= {name.split("/")[0] for name in first}
    found = json.loads((run / "metrics.json").read_text())["results"]
    assert set(found) == {name.lower() for name in config.EVALUATION}
    assert all(0 <= result["mean"]["mAP"] <= 1 for result in found.values())


def state(run: Path, epoch: int) -> dict[str, torch.Tensor]:
    """Weights, everything that losses keep, and the optimizer's moments."""
    folder = run / "checkpoints" / f"epoch_{epoch:04d}"
    stored = torch.load(folder / "trainer.pt", weights_only=True)["optimizer"]["state"]
    moments = {
        f"{i} {name}": value for i, each in stored.items() for name, value in each.items() if torch.is_tensor(value)
    }
    return load_file(folder / "model.safetensors") | load_file(folder / "objective.safetensors") | moments


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "kept"), [("mpanet", "mutual.infrared_copy"), ("mclnet", "confusion.weight1_momentum")]
)
def test_a_run_in_pieces_equals_a_whole_one(small, tmp_path, method, kept):
    settings = ("SAMPLER.STEPS", 2)
    small(tmp_path / "whole", "sysu", method, *settings)
    for epochs in (1, 2):
        small(tmp_path / "pieces", "sysu", method, *settings, "SOLVER.EPOCHS", epochs)
    ours, theirs = state(tmp_path / "whole", 2), state(tmp_path / "pieces", 2)
    assert ours.keys() == theirs.keys()
    assert ours[kept].any()
    assert not torch.equal(ours[kept], state(tmp_path / "pieces", 1)[kept])
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
