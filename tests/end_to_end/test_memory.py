"""MCE: memories filled at the start of each epoch, moved in each step, and the same after a stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vireid.zoo.models import config_path

SETTINGS = {
    "SIZE": "[64, 32]",
    "MODEL.BACKBONE.ARCH": "test_resnet",
    "MODEL.BACKBONE.PRETRAINED": False,
    "SAMPLER.STEPS": 3,
    "SAMPLER.IDENTITIES": 3,
    "SAMPLER.PER_MODALITY": 2,
}
WORDS = [word for pair in SETTINGS.items() for word in pair]
TERMS = {f"memory/{name}" for name in ("center", "memory", "visible", "infrared", "auxiliary", "kl")}


def log(run, event):
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [record for record in records if record["event"] == event]


def state(run, epoch):
    folder = run / "checkpoints" / f"epoch_{epoch:04d}"
    return load_file(folder / "model.safetensors") | load_file(folder / "objective.safetensors")


def test_a_run_in_pieces_equals_a_whole_one(train, tmp_path):
    config = str(config_path("sysu/mce"))
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    words = [*WORDS, "KEEP_CHECKPOINTS", 3]
    assert train(whole, *words, "SOLVER.EPOCHS", 3, config=config) == 0
    assert set(log(whole, "epoch")[0]) >= TERMS
    for epochs in (1, 2, 3):
        assert train(pieces, "--resume", *words, "SOLVER.EPOCHS", epochs, config=config) == 0
    first, last, again = state(whole, 1), state(whole, 3), state(pieces, 3)
    assert all(torch.equal(last[name], again[name]) for name in last)
    banks = [name for name in last if name.endswith((".features", ".centers"))]
    assert len(banks) == 8
    assert not any(torch.equal(first[name], last[name]) for name in banks)
    for name in banks:
        lengths = last[name].norm(dim=1)
        joint_centers = name == "memory.joint.centers"  # a mean that is not made unit
        assert (lengths < 1.00001).all()
        assert joint_centers or name == "memory.joint.features" or torch.allclose(lengths, torch.ones(()), atol=1e-5)
        assert not joint_centers or (lengths < 0.9999).any()


def test_memories_need_the_view_that_they_read(train, tmp_path, capsys):
    words = [*WORDS, "VIEWS.AUXILIARY.NAME", "none"]
    assert train(tmp_path / "run", *words, config=str(config_path("sysu/mce"))) == 2
    text = capsys.readouterr().err
    assert "a part of the objective requests view 1 of the training images, but VIEWS is empty" in text
    assert "Traceback" not in text


def test_memories_of_another_width_than_the_descriptor_are_refused(train, tmp_path, capsys):
    words = [*WORDS, "MODEL.EMBEDDING", "[features, features_bn]"]
    assert train(tmp_path / "run", *words, config=str(config_path("sysu/mce"))) == 2
    text = capsys.readouterr().err
    assert "MODEL.EMBEDDING is 192 wide and the memories read a field of 96" in text
    assert "Traceback" not in text


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["sysu", "regdb", "llcm"])
def test_two_epochs_lower_the_loss(train, layouts, tmp_path, layout):
    run = tmp_path / "run"
    words = [*WORDS, "DATA.ROOT", layouts(layout), "SOLVER.EPOCHS", 2, "SAMPLER.STEPS", 20, "SAMPLER.IDENTITIES", 4]
    words += ["SOLVER.LR", 3e-4, "SOLVER.SCHEDULE.WARMUP", 0]
    assert train(run, *words, config=str(config_path(f"{layout}/mce"))) == 0
    losses = [record["loss"] for record in log(run, "epoch")]
    assert losses[1] < losses[0]


SPY = """
import os
from vireid.core.registries import LOSSES
from vireid.losses.memory import ConsistencyMemory

@LOSSES.register
class Spy(ConsistencyMemory):
    '''Writes down how many rows it sees and what its banks hold.'''

    def forward(self, features_bn, labels, modality, view, index):
        terms = super().forward(features_bn, labels, modality, view, index)
        sums = [bank.features.double().sum().item() for bank in (self.joint, *self.banks.values())]
        with open(f"{os.environ['SPY']}_{os.environ['RANK']}", "a") as file:
            file.write(f"{len(labels)} {sums}\\n")
        return terms
"""


@pytest.mark.slow
def test_memories_are_the_same_in_two_processes_and_see_the_rows_of_both(arguments, tmp_path):
    root = Path(__file__).parents[2]
    (tmp_path / "spy.py").write_text(SPY)
    words = [*arguments(tmp_path / "run", *WORDS, "SAMPLER.IDENTITIES", 4, "SOLVER.EPOCHS", 2), "IMPORTS", "[spy]"]
    words += ["OBJECTIVE.MEMORY.NAME", "Spy"]
    line = [sys.executable, str(root / "tools" / "train_net.py"), "--config-file", str(config_path("sysu/mce"))]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{tmp_path}:{root}",
        "SPY": str(tmp_path / "seen"),
    }
    done = subprocess.run(
        [*line, "--num-gpus", "2", *words], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    first, second = ((tmp_path / f"seen_{rank}").read_text().splitlines() for rank in (0, 1))
    assert len(first) == 2 * 3 + 1  # and the step before all
    assert first == second
    assert {entry.split()[0] for entry in first} == {"24"}  # 4 x 2 visible, as many copies, as many infrared
    assert len(set(first)) == len(first) - 1  # the step before all is the first step again
