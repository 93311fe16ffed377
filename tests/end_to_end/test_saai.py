"""SAAI, whose loss and necks keep state: it learns, and a run in pieces ends in the same bits as a whole one."""

from __future__ import annotations

import json

import pytest
import torch


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["sysu", "regdb"])
def test_two_epochs_lower_the_loss_and_rows_with_affinity_inference_are_marked(small, tmp_path, layout):
    first, second = small(tmp_path / "run", layout, "saai_aim", "SAMPLER.STEPS", 8)
    assert second["loss"] < first["loss"]
    terms = {"id", "cluster/pull", "cluster/push", "diversity", "mutual/id", "mutual/soft_cross_entropy"}
    assert terms <= set(first)
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())["results"]
    reranked = {name for name in found if name.endswith("_aim")}
    assert {name.removesuffix("_aim") for name in reranked} == set(found) - reranked
    for name, result in found.items():
        conditions = result["conditions"]
        assert 0 <= result["mean"]["mAP"] <= 1
        assert conditions.get("transductive", "") == ("uses the gallery" if name in reranked else "")
        assert conditions.get("re_ranking_values", "") == ("chosen on the test set" if name in reranked else "")


@pytest.mark.slow
def test_a_run_in_pieces_equals_a_whole_one(small, state, tmp_path):
    settings = ("SAMPLER.STEPS", 2)
    small(tmp_path / "whole", "sysu", "saai", *settings)
    for epochs in (1, 2):
        small(tmp_path / "pieces", "sysu", "saai", *settings, "SOLVER.EPOCHS", epochs)
    ours, theirs = state(tmp_path / "whole", 2), state(tmp_path / "pieces", 2)
    assert ours.keys() == theirs.keys()
    for kept in ("mutual.infrared_copy", "heads.id.neck.visible.running_mean", "heads.id.neck.infrared.running_var"):
        assert not torch.equal(ours[kept], state(tmp_path / "pieces", 1)[kept])
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
