"""The step-time benchmark of transformers compares equal networks and losses."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "speed" / "vit_step.py"


def test_both_steps_have_the_same_loss(tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("vit_step", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    words = ["--arch", "test_vit", "--size", "64", "32", "--identities", "3", "--steps", "1", "--repeats", "2"]
    assert module.main([*words, "--device", "cpu", "--json", str(tmp_path / "x.json")]) == 0
    assert "ratio" in capsys.readouterr().out
    result = json.loads((tmp_path / "x.json").read_text())
    assert result["losses"]["ours"] == pytest.approx(result["losses"]["plain"], rel=1e-5)
    assert result["ratio"] > 0
