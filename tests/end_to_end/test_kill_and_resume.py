"""benchmarks/speed/kill_and_resume.py: two kills of its twenty, and that it would notice a difference."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "speed" / "kill_and_resume.py"
RESULT = SCRIPT.parents[1] / "results" / "kill_and_resume.json"


@pytest.fixture(scope="module")
def script():
    import sys

    spec = importlib.util.spec_from_file_location("kill_and_resume", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_killed_while_writing_a_checkpoint_and_in_an_epoch(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "LOOK_EVERY", 0.01)  # a watcher that never sleeps would take the core of another test
    words = ["--kills", "2", "--seed", "1", "--json", str(tmp_path / "result.json")]
    assert script.main([*words, "MODEL.BACKBONE.ARCH", "test_resnet"]) == 0
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["identical"] == found["kills"] == 2
    assert found["compared"]["tensors"] > 100
    assert "ended before" not in found["killed_in"]


def test_every_bit_counts(script):
    nan = torch.tensor([float("nan"), 1.0])
    reference = {"weight": torch.tensor([0.0, 1.0]), "mean": nan, "log 0 loss": 0.5, "log 0 lr": None}
    assert script.differences(reference, {**reference, "mean": nan.clone()}) == []
    other = {"weight": torch.tensor([-0.0, 1.0]), "mean": nan, "log 0 loss": 0.5, "more": None}
    assert script.differences(other, reference) == ["weight", "more", "log 0 lr"]
    assert script.differences({"step": 1}, {"step": 1.0}) == ["step"]
    assert script.differences({"w": torch.zeros(2)}, {"w": torch.zeros(2, 1)}) == ["w"]
    assert script.differences({"w": torch.zeros(2)}, {"w": torch.zeros(2, dtype=torch.int32)}) == ["w"]


def test_moments_are_a_function_of_the_seed_and_reach_every_stage(script):
    moments = script.drawn(20, 0)
    assert moments == script.drawn(20, 0) != script.drawn(20, 1)
    assert {moment.stage for moment in moments} == set(script.STAGES)
    assert {moment.epoch for moment in moments if moment.stage == "checkpoint"} == {1, 2, 3}
    assert all(0 <= moment.share <= 1 for moment in moments)


@pytest.mark.parametrize(
    ("records", "whole", "expected"),
    [
        ([], [], ("set-up", 1)),
        ([("step", 1)], [], ("training", 1)),
        ([("epoch", 1)], [], ("evaluation", 1)),
        ([("evaluation", 1)], [], ("checkpoint", 1)),
        ([("evaluation", 1)], [1], ("training", 2)),
        ([("evaluation", 1), ("step", 2)], [1], ("training", 2)),
        ([("evaluation", 3)], [2, 3], ("last evaluation", 3)),
        ([("evaluation", 3), ("result", None)], [2, 3], ("end", 3)),
    ],
)
def test_the_stage_is_read_from_the_folder(script, tmp_path, records, whole, expected):
    lines = [{"event": event, **({"epoch": epoch} if epoch else {})} for event, epoch in records]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for epoch in whole:
        (tmp_path / "checkpoints" / f"epoch_{epoch:04d}").mkdir(parents=True)
    assert script.stage_of(tmp_path) == expected


def test_the_committed_result_is_twenty_of_twenty():
    found = json.loads(RESULT.read_text())
    assert found["identical"] == found["kills"] == len(found["runs"]) == 20
    assert set(found["killed_in"]) >= {"set-up", "training", "evaluation", "checkpoint"}
