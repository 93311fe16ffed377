"""Fair task: colour works between visible cameras and is worth nothing across modalities; raw pixels fail across."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.data.synthetic import World, sysu
from vireid.data.synthetic.fairness import Fairness, colour_histogram, measure, rank1, raw_pixels


@pytest.fixture(scope="module")
def found() -> Fairness:
    return measure(World(seed=5, size=(64, 32)), sysu.plan(seed=5, identities=150), images=3, trials=10)


def test_colour_works_between_visible_cameras(found: Fairness) -> None:
    assert found.colour_visible > 15 * found.chance


def test_colour_is_chance_across_modalities(found: Fairness) -> None:
    assert found.colour_infrared < 2 * found.chance


def test_raw_pixels_fail_across_modalities(found: Fairness) -> None:
    assert found.pixels_infrared < 3 * found.chance
    assert found.pixels_visible > 3 * found.pixels_infrared  # so it is the modality that defeats them


def test_the_matchers_would_notice_an_unfair_set() -> None:
    """Were infrared the grey copy of the visible picture, both matchers would cross the modalities."""
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (30, 1, 1, 3)) * np.ones((30, 32, 16, 3))
    faces[:, 10:20] = rng.integers(0, 256, (30, 10, 16, 3))
    pictures = np.concatenate([faces, np.repeat(faces.mean(axis=-1, keepdims=True), 3, axis=-1)]).astype(np.uint8)
    identities, cameras = np.tile(np.arange(30), 2), np.repeat([1, 3], 30)
    grey = np.repeat(pictures.mean(axis=-1, keepdims=True).astype(np.uint8), 3, axis=-1)
    for features in (raw_pixels(pictures), colour_histogram(grey)):
        assert rank1(features, identities, cameras, (3,), trials=1, rng=rng) > 0.8
