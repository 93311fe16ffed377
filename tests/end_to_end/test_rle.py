"""RLE learns on each dataset; a run in pieces ends in the same bits as a whole one; plug-ins train with a method."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

CONFIGS = Path(__file__).parents[2] / "configs"
SIZE = ("SIZE", "[96, 32]")  # thirds need a map of 6 rows
LEARNED = ("id", "part_id", "triplet", "part_triplet")


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["sysu", "regdb", "llcm"])
def test_two_epochs_lower_the_loss(small, tmp_path, layout):
    run = tmp_path / "run"
    first, second = small(run, layout, "rle", *SIZE, "SAMPLER.STEPS", 8, "SOLVER.LR", 0.02)
    assert sum(second[name] for name in LEARNED) < sum(first[name] for name in LEARNED)
    found = json.loads((run / "metrics.json").read_text())["results"]
    assert all(0 <= result["mean"]["mAP"] <= 1 for result in found.values())


@pytest.mark.slow
def test_a_run_in_pieces_equals_a_whole_one(small, state, tmp_path):
    settings = (*SIZE, "SAMPLER.STEPS", 2)
    small(tmp_path / "whole", "sysu", "rle", *settings)
    for epochs in (1, 2):
        records = small(tmp_path / "pieces", "sysu", "rle", *settings, "SOLVER.EPOCHS", epochs)
    ours, theirs = state(tmp_path / "whole", 2), state(tmp_path / "pieces", 2)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert len(records) == 2


@pytest.mark.slow
def test_both_plugins_train_with_a_method_with_views(train, tmp_path):
    bases = [CONFIGS / "sysu/caj.yml", *(CONFIGS / "plugins" / f"{name}.yml" for name in ("rle", "frequency"))]
    config = tmp_path / "joined.yml"
    config.write_text(f"_BASE_: [{', '.join(map(str, bases))}]\n")
    network = ("MODEL.BACKBONE.ARCH", "test_resnet", "MODEL.BACKBONE.PRETRAINED", False)
    run = tmp_path / "run"
    steps = ("SAMPLER.STEPS", 2, "SAMPLER.PER_MODALITY", 2, "SOLVER.EPOCHS", 1, "SOLVER.SCHEDULE.WARMUP", 0)
    assert train(run, *network, *steps, "SOLVER.SCHEDULE.DROPS", "[]", config=str(config)) == 0
    assert (run / "metrics.json").is_file()
