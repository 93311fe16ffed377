"""A run checks its configuration once and builds its network once without weights, then trains and evaluates."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from vireid.config import check as module
from vireid.experiment import Experiment


@pytest.fixture
def passes(monkeypatch):
    """Counts the passes over a whole configuration."""
    calls: Counter[str] = Counter()
    for name in ("static_check", "dry_run"):
        function = getattr(module, name)

        def counted(*arguments, name=name, function=function):
            calls[name] += 1
            return function(*arguments)

        monkeypatch.setattr(module, name, counted)
    return calls


def test_training_and_evaluation_check_the_config_once(tmp_path, arguments, passes):
    words = arguments(tmp_path / "run", "SOLVER.EPOCHS", 2, "SAMPLER.STEPS", 2, "EVALUATE_EVERY", 1)
    experiment = Experiment.from_config(Path(__file__).parent / "tiny.yml", words)
    assert passes == {"static_check": 1, "dry_run": 1}
    experiment.train()
    experiment.evaluate()
    experiment.train(resume=True)
    assert passes == {"static_check": 1, "dry_run": 1}
