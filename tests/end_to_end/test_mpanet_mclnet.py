"""MPANet and MCLNet, whose losses keep state: they learn, and a run in pieces ends in the same bits as a whole one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vireid.config.load import read_unchecked

CONFIGS = Path(__file__).parents[2] / "configs"
METHODS = ("mpanet", "mclnet")


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["sysu", "regdb", "llcm"])
@pytest.mark.parametrize("method", METHODS)
def test_two_epochs_lower_the_loss(small, tmp_path, method, layout):
    rate = {"mpanet": 3.5e-4, "mclnet": 0.02}[method]  # no pretrained weights here: MCLNet's released rate is too large
    run = tmp_path / "run"
    first, second = small(run, layout, method, "SAMPLER.STEPS", 8, "SOLVER.LR", rate)
    assert second["loss"] < first["loss"]
    config = read_unchecked(CONFIGS / layout / f"{method}.yml")
    assert {name.lower() for name in config.OBJECTIVE} <= {name.split("/")[0] for name in first}
    found = json.loads((run / "metrics.json").read_text())["results"]
    assert set(found) == {name.lower() for name in config.EVALUATION}
    assert all(0 <= result["mean"]["mAP"] <= 1 for result in found.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "kept"), [("mpanet", "mutual.infrared_copy"), ("mclnet", "confusion.weight1_momentum")]
)
def test_a_run_in_pieces_equals_a_whole_one(small, state, tmp_path, method, kept):
    settings = ("SAMPLER.STEPS", 2)
    small(tmp_path / "whole", "sysu", method, *settings)
    for epochs in (1, 2):
        small(tmp_path / "pieces", "sysu", method, *settings, "SOLVER.EPOCHS", epochs)
    ours, theirs = state(tmp_path / "whole", 2), state(tmp_path / "pieces", 2)
    assert ours.keys() == theirs.keys()
    assert ours[kept].any()
    assert not torch.equal(ours[kept], state(tmp_path / "pieces", 1)[kept])
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
