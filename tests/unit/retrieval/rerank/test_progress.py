from __future__ import annotations

import logging
from contextlib import contextmanager

import numpy as np
import pytest

from vireid.retrieval import KReciprocal, RandomWalk
from vireid.retrieval.rerank import progress


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("rerank", [KReciprocal(k1=5), RandomWalk()], ids=lambda rerank: rerank.description)
def test_a_long_one_shows_all_of_its_steps(monkeypatch, caplog, rerank, dense):
    rows = np.random.default_rng(0).standard_normal((120, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    if not dense:
        monkeypatch.setattr("vireid.retrieval.rerank.random_walk.DENSE", 0)
    expected = rerank(rows[:40], rows[40:])
    shown, counts = [], []

    @contextmanager
    def bar(total, label, *, unit, show):
        shown.append((total, label, show))
        yield counts.append

    monkeypatch.setattr(progress, "LARGE", 100)
    monkeypatch.setattr(progress, "progress_bar", bar)
    with caplog.at_level(logging.INFO):
        np.testing.assert_array_equal(rerank(rows[:40], rows[40:]), expected)
    ((total, label, show),) = shown
    assert show
    assert label == rerank.description
    assert sum(counts) == total
    assert f"{rerank.description}: 40 queries, 80 gallery images" in caplog.text
