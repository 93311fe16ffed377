from __future__ import annotations

import numpy as np
import pytest

from vireid.retrieval import KReciprocal, RandomWalk
from vireid.retrieval.rerank import forecast


class Clock:
    """Time that passes only where a run says so."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.mark.parametrize(
    ("powers", "growth"), [((1, 2), lambda n: 2 * n + 0.03 * n**2), ((2, 3), lambda n: 1e-3 * n**3)]
)
def test_time_follows_the_growth_of_the_work(monkeypatch, powers, growth):
    clock = Clock()
    monkeypatch.setattr(forecast, "time", clock)

    def run(queries, gallery):
        clock.now += growth(len(queries) + len(gallery))

    queries, gallery = np.zeros((6000, 2)), np.zeros((12000, 2))
    assert forecast.seconds(run, queries, gallery, powers) == pytest.approx(growth(18000), rel=1e-6)
    assert clock.now < growth(18000) / 20, "the trial runs must be short beside the real one"


@pytest.mark.parametrize("rerank", [KReciprocal(k1=5), RandomWalk()], ids=lambda rerank: rerank.description)
def test_a_long_one_says_so_before_it_starts(monkeypatch, capsys, rerank):
    rows = np.random.default_rng(0).standard_normal((120, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    expected = rerank(rows[:40], rows[40:])
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(forecast, "LARGE", 100)
    monkeypatch.setattr(forecast, "TRIED", (30, 60))
    np.testing.assert_array_equal(rerank(rows[:40], rows[40:]), expected)
    said = capsys.readouterr().err
    assert said.startswith(f"{rerank.description}: 40 queries, 80 gallery images: about 0 s and 0.")
    assert said.endswith(" GB\n")
    assert said.count("\n") == 1
