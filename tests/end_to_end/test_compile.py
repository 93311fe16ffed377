"""COMPILE true in whole runs: traced by torch.compile, executed without a C++ compiler, which would take minutes."""

from __future__ import annotations

import functools
import json

import pytest
import torch
from safetensors.torch import load_file
from torch._dynamo.testing import CompileCounter

import vireid.experiment.experiment
from vireid.engine.compiling import compile_for_training


@pytest.fixture
def counter(monkeypatch):
    """Compilations of a run whose compiled graphs run operation by operation."""
    torch._dynamo.reset()
    counter = CompileCounter()
    monkeypatch.setattr(
        vireid.experiment.experiment, "compile_for_training", functools.partial(compile_for_training, backend=counter)
    )
    yield counter
    torch._dynamo.reset()


def weights(run, epoch):
    return load_file(run / "checkpoints" / f"epoch_{epoch:04d}" / "model.safetensors")


@pytest.mark.slow
def test_a_run_may_be_resumed_with_and_without_compile(train, tmp_path, counter, capsys):
    plain, mixed = tmp_path / "plain", tmp_path / "mixed"
    small = ["EMA", 0.9, "SAMPLER.STEPS", 2, "EVALUATE_EVERY", 1]  # evaluated between epochs, by the averaged weights
    assert train(plain, *small, "SOLVER.EPOCHS", 2) == 0
    assert counter.frame_count == 0
    assert train(mixed, *small, "SOLVER.EPOCHS", 1, "COMPILE", "true") == 0
    assert counter.frame_count >= 1
    compilations = counter.frame_count
    assert not [name for name in weights(mixed, 1) if "_orig_mod" in name]

    capsys.readouterr()
    assert train(mixed, "--resume", *small, "SOLVER.EPOCHS", 2) == 0
    text = "resuming with another setting: COMPILE was true, is false; results may differ in the last digits"
    assert text in capsys.readouterr().out.splitlines()
    assert counter.frame_count == compilations
    ours, theirs = weights(mixed, 2), weights(plain, 2)
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], msg=name)

    results = json.loads((mixed / "metrics.json").read_text())["results"]
    assert train(mixed, "--eval-only", *small, "SOLVER.EPOCHS", 2, "COMPILE", "true") == 0
    assert json.loads((mixed / "metrics.json").read_text())["results"] == results
    assert counter.frame_count == compilations, "evaluation is not compiled"

    capsys.readouterr()
    torch._dynamo.reset()  # the graph of the first part would be found again
    assert train(mixed, "--resume", *small, "SOLVER.EPOCHS", 3, "COMPILE", "true") == 0
    assert "COMPILE was false, is true" in capsys.readouterr().out
    assert counter.frame_count > compilations
