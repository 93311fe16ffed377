"""CAJ's views from the loader to the losses, and a run of them in pieces."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from vireid.zoo.models import config_path

SETTINGS = {
    "SIZE": "[64, 32]",
    "MODEL.BACKBONE.ARCH": "test_resnet",
    "MODEL.BACKBONE.PRETRAINED": False,
    "SAMPLER.STEPS": 2,
    "SAMPLER.IDENTITIES": 3,
    "SAMPLER.PER_MODALITY": 2,
}
WORDS = [word for pair in SETTINGS.items() for word in pair]


def log(run, event):
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [record for record in records if record["event"] == event]


def test_two_views_train_and_a_run_in_pieces_equals_a_whole_one(train, tmp_path):
    config = str(config_path("sysu/caj_plus"))
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    assert train(whole, *WORDS, "SOLVER.EPOCHS", 2, config=config) == 0
    assert {"id", "triplet", "corefine"} <= set(log(whole, "epoch")[0])
    results = json.loads((whole / "metrics.json").read_text())["results"]
    assert results["all"]["conditions"]["flipped_images"] == "added (unit)"
    for epochs in (1, 2):
        assert train(pieces, "--resume", *WORDS, "SOLVER.EPOCHS", epochs, config=config) == 0
    ours, theirs = (load_file(run / "checkpoints" / "epoch_0002" / "model.safetensors") for run in (whole, pieces))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_another_view_is_another_training(train, tmp_path, capsys):
    config, run = str(config_path("sysu/caj")), tmp_path / "run"
    assert train(run, *WORDS, "SOLVER.EPOCHS", 1, config=config) == 0
    words = [*WORDS, "SOLVER.EPOCHS", 2, "VIEWS.EXCHANGED.GRAY", True]
    assert train(run, "--resume", *words, config=config) == 2
    assert "VIEWS.EXCHANGED.GRAY was false, is true" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sysu/caj", "sysu/caj_plus", "regdb/caj", "regdb/caj_plus", "llcm/caj"])
def test_two_epochs_lower_the_loss(name, train, layouts, tmp_path):
    run = tmp_path / "run"
    words = [
        *WORDS,
        "DATA.ROOT",
        layouts(name.split("/")[0]),
        "SOLVER.EPOCHS",
        2,
        "SAMPLER.STEPS",
        6,
        "SOLVER.LR",
        0.02,
    ]
    assert train(run, *words, config=str(config_path(name))) == 0
    losses = [record["loss"] for record in log(run, "epoch")]
    assert losses[1] < losses[0]
