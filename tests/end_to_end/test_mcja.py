"""MCJA learns on each dataset; re-ranked rows are marked; a run in pieces ends in the same bits as a whole one."""

from __future__ import annotations

import json

import pytest
import torch

BATCH = ("SAMPLER.PER_MODALITY", None, "SAMPLER.PER_IDENTITY", 4, "MODEL.BACKBONE.INSERTS.STAGE3.COUNT", 1)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["sysu", "regdb", "llcm"])
def test_two_epochs_lower_the_loss(small, tmp_path, layout):
    run = tmp_path / "run"
    first, second = small(run, layout, "mcja", *BATCH, "SAMPLER.STEPS", 8)
    assert second["loss"] < first["loss"]
    assert {"id", "retrieval"} <= set(first)
    found = json.loads((run / "metrics.json").read_text())["results"]
    assert all(0 <= result["mean"]["mAP"] <= 1 for result in found.values())


@pytest.mark.slow
def test_a_run_in_pieces_equals_a_whole_one(small, state, tmp_path):
    settings = (*BATCH, "SAMPLER.STEPS", 2)
    small(tmp_path / "whole", "sysu", "mcja", *settings)
    for epochs in (1, 2):
        small(tmp_path / "pieces", "sysu", "mcja", *settings, "SOLVER.EPOCHS", epochs)
    ours, theirs = state(tmp_path / "whole", 2), state(tmp_path / "pieces", 2)
    assert ours.keys() == theirs.keys()
    kept = next(name for name in ours if name.endswith("_insert.gate_norm.running_mean"))
    assert not torch.equal(ours[kept], state(tmp_path / "pieces", 1)[kept])
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["sysu", "regdb"])
def test_rows_with_multi_spectral_ranking_are_marked_and_differ(small, tmp_path, layout):
    evaluated = ("EVALUATE_EVERY", 1, "SOLVER.EPOCHS", 1)
    small(tmp_path / "run", layout, "mcja_mser", *BATCH, "SAMPLER.STEPS", 2, *evaluated)
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())["results"]
    reranked = {name for name in found if name.endswith("_mser")}
    assert {name.removesuffix("_mser") for name in reranked} == set(found) - reranked
    for name in reranked:
        conditions = found[name]["conditions"]
        assert conditions["transductive"] == "uses the gallery and the other queries"
        assert "single channels of visible images" in conditions["re_ranking"]
        assert found[name]["mean"] != found[name.removesuffix("_mser")]["mean"]


@pytest.mark.slow
def test_it_trains_with_attributes(small, layouts, tmp_path):
    attributes = ("DATA.ATTRIBUTES", layouts("sysu") / "sysu_attribute", "SOLVER.EPOCHS", 1)
    (epoch,) = small(tmp_path / "run", "sysu", "mcja_pae_aal", *BATCH, "SAMPLER.STEPS", 2, *attributes)
    assert {"id", "retrieval", "attributes"} <= set(epoch)
