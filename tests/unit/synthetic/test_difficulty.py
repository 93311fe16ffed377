"""What the page says of a network on synthetic people is what the committed measurement found. Measuring takes half an
hour (`benchmarks/speed/synthetic_difficulty.py`); this only holds the page against it."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[3]
RESULTS = json.loads((ROOT / "benchmarks" / "results" / "synthetic_difficulty.json").read_text())["results"]
PAGE = (ROOT / "docs" / "synthetic.md").read_text(encoding="utf-8")


def test_above_chance_soon_better_with_ten_times_the_steps_and_far_from_done():
    short, long = (RESULTS[f"{steps} steps"]["all"] for steps in (200, 2000))
    assert 2 * short["chance"] < short["mean"]["rank1"] < 0.9
    assert 10 * long["chance"] < long["mean"]["rank1"] < 0.95


def test_the_page_has_these_numbers():
    for steps, protocols in RESULTS.items():
        cells = [
            f"{100 * result['mean'][metric]:.1f} ± {100 * result['spread'][metric]:.1f}"
            for result in protocols.values()
            for metric in ("rank1", "mAP")
        ]
        assert f"| {steps} | {' | '.join(cells)} |" in PAGE
