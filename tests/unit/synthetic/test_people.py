"""What is drawn shows who it is: attributes change pixels, and color does not give the infrared away."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.synthetic import World, sample_person
from vireid.synthetic.materials import NEAR_INFRARED

ATTRIBUTES = ("female", "long_hair", "glasses", "long_sleeve", "skirt", "long_lower", "backpack", "satchel")


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_each_attribute_is_visible(attribute: str) -> None:
    """The same shots of the same people with one attribute flipped; glasses hide when the head is turned away."""
    world = World(seed=0, size=(128, 64))
    changed = []
    for number in range(1, 7):
        person = world.person(number)
        flipped = person.but(**{attribute: not getattr(person.attributes, attribute)})
        for camera in (1, 3, 4):
            for shot in range(2):
                before, after = (
                    world.picture(world.figure(who), number, camera, shot).astype(int) for who in (person, flipped)
                )
                changed.append((np.abs(before - after).max(axis=-1) > 25).sum())
    # 1 % of a picture is 82 pixels; glasses are a few pixels, and only from the front
    share, least = {"glasses": (0.4, 6), "female": (0.6, 30)}.get(attribute, (0.6, 60))
    assert np.mean(np.array(changed) >= least) >= share, changed


def test_infrared_brightness_is_not_determined_by_color() -> None:
    """Over many garments no color channel, nor brightness, correlates with the infrared reflectance."""
    cloth = np.array([
        garment.dyes[0] for number in range(1, 401) for outfit in [sample_person(0, number).outfit]
        for garment in (outfit.upper, outfit.lower)
    ])  # fmt: skip
    color = np.column_stack([cloth[:, :3], cloth[:, :3].mean(axis=1), np.ptp(cloth[:, :3], axis=1)])
    infrared = cloth[:, NEAR_INFRARED]
    assert infrared.std() > 0.15
    for column in color.T:
        assert abs(np.corrcoef(column, infrared)[0, 1]) < 0.12  # 800 garments: standard error 0.035
    dark = cloth[:, :3].max(axis=1) < 0.3
    assert dark.sum() > 50
    assert np.ptp(np.quantile(infrared[dark], [0.1, 0.9])) > 0.4  # black cloth may be dull or bright


def test_part_of_the_patterns_vanishes_in_the_infrared() -> None:
    contrast = np.array(
        [
            np.abs(sample_person(0, n).outfit.upper.dyes[1] - sample_person(0, n).outfit.upper.dyes[0])
            for n in range(1, 301)
        ]
    )
    seen = contrast[:, :3].max(axis=1) > 0.15
    vanished = contrast[seen, NEAR_INFRARED] < 0.1
    assert 0.15 < vanished.mean() < 0.5
    assert seen.mean() > 0.8


def test_harder_worlds_have_more_alike_people() -> None:
    def spread(difficulty: float) -> float:
        bodies = [sample_person(0, number, difficulty).body for number in range(1, 101)]
        return float(np.std([body.chest for body in bodies]))

    assert spread(0.0) > spread(0.5) > spread(1.0)


@pytest.mark.parametrize("difficulty", [0.0, 1.0])
@pytest.mark.parametrize("size", [(64, 32), (100, 60), (288, 144)])
def test_any_size_and_difficulty_renders(size: tuple[int, int], difficulty: float) -> None:
    world = World(seed=1, size=size, difficulty=difficulty)
    for camera in (1, 6):
        picture = world.photograph(11, camera, 0)
        assert picture.shape == (*size, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 8
