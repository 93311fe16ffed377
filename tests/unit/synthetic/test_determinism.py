"""A dataset is a function of its recipe: not of the clock, the number of workers or the order of the work."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vireid.synthetic import Recipe, World, write_dataset


def digest(root: Path) -> dict[str, str]:
    files = sorted(file for file in root.rglob("*") if file.is_file())
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.slow
def test_same_bytes_with_two_workers(small_set: Path, small_recipe: Recipe, tmp_path: Path) -> None:
    write_dataset(tmp_path / "again", small_recipe, workers=2, progress=False)
    assert digest(tmp_path / "again") == digest(small_set)


def test_another_seed_gives_other_people(small_recipe: Recipe) -> None:
    first, second = (World(seed=seed, size=small_recipe.size).photograph(7, 1, 0) for seed in (3, 4))
    assert (first != second).mean() > 0.5


def test_a_picture_does_not_depend_on_those_taken_before(small_recipe: Recipe) -> None:
    fresh, used = World(seed=3, size=small_recipe.size), World(seed=3, size=small_recipe.size)
    for number in (1, 2, 9):
        used.photograph(number, 2, 1)
    assert (fresh.photograph(5, 6, 1) == used.photograph(5, 6, 1)).all()


def test_more_images_keep_the_first_ones(small_set: Path, small_recipe: Recipe, tmp_path: Path) -> None:
    write_dataset(tmp_path / "more", replace(small_recipe, images=3), progress=False)
    few, many = digest(small_set), digest(tmp_path / "more")
    for file in ("synthetic.json", "exp/rand_perm_cam.mat"):  # they depend on the number of images
        assert few.pop(file) != many[file]
    assert {name: value for name, value in many.items() if name in few} == few


def test_pictures_of_one_person_differ(small_recipe: Recipe) -> None:
    world = World(seed=3, size=small_recipe.size)
    pictures = np.stack([world.photograph(5, camera, shot) for camera in (1, 3) for shot in range(3)]).astype(float)
    for one in range(6):
        for other in range(one):
            assert np.abs(pictures[one] - pictures[other]).mean() > 5
