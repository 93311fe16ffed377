"""DDAG and DEEN learn; a run in pieces ends in the same bits as a whole one, the weight of DDAG's graph included."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vireid.config.load import read_unchecked

CONFIGS = Path(__file__).parents[2] / "configs"
COMPOSITIONS = [
    ("ddag", "sysu"),
    ("ddag", "regdb"),
    ("ddag", "llcm"),
    ("deen", "sysu"),
    ("deen", "regdb"),
    ("deen", "llcm"),
]
LEARNED = {"ddag": ("id", "triplet", "part_id"), "deen": ("id", "triplet", "centers")}  # of what the loss is made of
RATES = {"ddag": 0.002, "deen": 0.02}  # no pretrained weights here: the released rate is too large


@pytest.mark.slow
@pytest.mark.parametrize(("method", "layout"), COMPOSITIONS)
def test_two_epochs_lower_the_loss(small, tmp_path, method, layout):
    run = tmp_path / "run"
    first, second = small(run, layout, method, "SAMPLER.STEPS", 8, "SOLVER.LR", RATES[method])
    assert sum(second[name] for name in LEARNED[method]) < sum(first[name] for name in LEARNED[method])
    config = read_unchecked(CONFIGS / layout / f"{method}.yml")
    assert {name.lower() for name in config.OBJECTIVE} <= set(first)
    found = json.loads((run / "metrics.json").read_text())["results"]
    assert set(found) == {name.lower() for name in config.EVALUATION}
    assert all(0 <= result["mean"]["mAP"] <= 1 for result in found.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "trained"),
    [("ddag", "graph.heads.weight"), ("deen", "backbone.expand.branches.1.dilated.2.weight")],
)
def test_a_run_in_pieces_equals_a_whole_one(small, state, tmp_path, method, trained):
    settings = ("SAMPLER.STEPS", 2)
    small(tmp_path / "whole", "sysu", method, *settings)
    for epochs in (1, 2):
        records = small(tmp_path / "pieces", "sysu", method, *settings, "SOLVER.EPOCHS", epochs)
    ours, theirs = state(tmp_path / "whole", 2), state(tmp_path / "pieces", 2)
    assert ours.keys() == theirs.keys()
    assert not torch.equal(ours[trained], state(tmp_path / "pieces", 1)[trained])
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert len(records) == 2


@pytest.mark.slow
def test_the_graph_counts_from_the_second_epoch_on_as_the_first_one_s_loss_says(small, tmp_path):
    first, second = small(tmp_path / "run", "sysu", "ddag", "SAMPLER.STEPS", 2)
    others = [sum(record[name] for name in LEARNED["ddag"]) for record in (first, second)]
    assert first["loss"] == pytest.approx(others[0], rel=1e-5)
    assert second["loss"] == pytest.approx(others[1] + second["graph"] / (1 + others[0]), rel=1e-5)
