"""Fair task: color works between visible cameras and is worth nothing across modalities; raw pixels fail across."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from vireid.synthetic import World, sysu
from vireid.synthetic.fairness import Fairness, measure
from vireid.synthetic.figure import dress
from vireid.synthetic.sewing import Figure

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found() -> Fairness:
    return measure(World(seed=5, size=(64, 32)), sysu.plan(seed=5, identities=150), images=3, trials=10)


def test_color_works_between_visible_cameras(found: Fairness) -> None:
    assert found.color_visible > 15 * found.chance


def test_color_is_chance_across_modalities(found: Fairness) -> None:
    assert found.color_infrared < 2 * found.chance


def test_raw_pixels_fail_across_modalities(found: Fairness) -> None:
    assert found.pixels_infrared < 3 * found.chance
    assert found.pixels_visible > 3 * found.pixels_infrared  # so it is the modality that defeats them


def test_the_matchers_would_notice_an_unfair_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the infrared picture made from the gray of the colors, both would cross the modalities."""

    def unfair(*arguments: Any, **options: Any) -> Figure:
        figure = dress(*arguments, **options)
        return replace(figure, infrared=[texture.mean(axis=0, keepdims=True) for texture in figure.visible])

    monkeypatch.setattr("vireid.synthetic.world.dress", unfair)
    found = measure(World(seed=5, size=(64, 32)), sysu.plan(seed=5, identities=150), images=2, trials=10)
    assert found.color_infrared > 2 * found.chance
    assert found.pixels_infrared > 3 * found.chance
