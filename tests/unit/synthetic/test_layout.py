"""The written folders have the layout of SYSU-MM01 and its attribute files the released form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, whosmat

from vireid.synthetic import Recipe, World, sysu

COLUMNS = {1: 332, 2: 332, 3: 533, 4: 533, 5: 533, 6: 333}


def listed(root: Path, name: str) -> list[int]:
    lines = (root / "exp" / f"{name}_id.txt").read_text().splitlines()
    assert len(lines) == 1
    return [int(word) for word in lines[0].split(",")]


def folders(root: Path) -> dict[tuple[int, int], list[Path]]:
    return {
        (int(folder.parent.name[3:]), int(folder.name)): sorted(folder.iterdir()) for folder in root.glob("cam*/[0-9]*")
    }


def test_id_lists_split_all_identities(small_set: Path) -> None:
    train, val, test = (listed(small_set, name) for name in ("train", "val", "test"))
    assert sorted(train + val + test) == listed(small_set, "available")
    assert len(set(train + val + test)) == 8
    assert {number for _, number in folders(small_set)} == set(train + val + test)


def test_images_are_numbered_jpegs_of_the_size(small_set: Path, small_recipe: Recipe) -> None:
    for (camera, number), files in folders(small_set).items():
        assert [file.name for file in files] == ["0001.jpg", "0002.jpg"]
        for file in files:
            with Image.open(file) as image:
                assert (image.format, image.mode, image.size) == ("JPEG", "RGB", small_recipe.size[::-1])
                pixels = np.asarray(image)
            if camera in (3, 6):
                assert (pixels == pixels[..., :1]).all(), (camera, number)
    assert not list(small_set.glob("**/*.partial"))


def test_only_the_documented_entries(small_set: Path) -> None:
    assert sorted(entry.name for entry in small_set.iterdir()) == [
        *(f"cam{camera}" for camera in range(1, 7)), "exp", "synthetic.json", "sysu_attribute",
    ]  # fmt: skip
    record = json.loads((small_set / "synthetic.json").read_text())
    assert record["seed"] == 3
    assert record["size"] == [64, 32]
    assert record["version"] >= 1


def test_attribute_files_have_the_released_form(small_set: Path, small_recipe: Recipe) -> None:
    present = set(folders(small_set))
    world = World(seed=small_recipe.seed, difficulty=small_recipe.difficulty, size=small_recipe.size)
    for camera, columns in COLUMNS.items():
        file = small_set / "sysu_attribute" / f"cam{camera}_att.mat"
        assert whosmat(file) == [(f"cam{camera}_att", (8, columns), "uint8")]
        table = loadmat(file)[f"cam{camera}_att"]
        for number in range(1, columns + 1):
            if (camera, number) in present:
                assert (table[:, number - 1] == world.attributes(number, camera).bits()).all()
                assert not table[:, number - 1].all()
            else:
                assert table[:, number - 1].all()


def test_annotation_says_nothing_about_when_it_was_written(small_set: Path) -> None:
    content = (small_set / "sysu_attribute" / "cam1_att.mat").read_bytes()
    assert content[:116] == b"MATLAB 5.0 MAT-file, written by vireid".ljust(116)


@pytest.mark.parametrize("identities", [5, 60, 533, 700])
def test_each_identity_can_be_searched_across_modalities(identities: int) -> None:
    people = sysu.plan(seed=1, identities=identities)
    missing = 0
    for number in people.identities:
        seen = set(people.cameras[number])
        assert all(number <= people.last_column[camera] for camera in seen)
        assert seen & {3, 6}
        assert seen & {1, 4, 5} or (3 not in seen and 2 in seen)
        missing += len({c for c in range(1, 7) if number <= people.last_column[c]} - seen)
    assert missing > 0 or identities == 5
    if identities <= 533:
        assert max(people.test) <= 332
        assert people.last_column == COLUMNS
        assert identities == 5 or max(people.identities) > identities or identities == 533  # numbers have gaps


def test_bags_are_the_only_attributes_that_change_between_cameras() -> None:
    world = World(seed=0)
    rows = np.array([[world.attributes(number, camera).bits() for camera in range(1, 7)] for number in range(1, 201)])
    varies = (rows != rows[:, :1]).any(axis=1).mean(axis=0)
    assert (varies[:6] == 0).all()
    assert 0.15 < varies[6] < 0.5
    assert 0 < varies[7] < 0.2
    share = rows.mean(axis=(0, 1))
    released = np.array([0.441, 0.385, 0.641, 0.349, 0.092, 0.668, 0.446, 0.083])
    assert np.abs(share - released).max() < 0.2, share
    assert not rows.all(axis=2).any()  # eight ones mean "not labelled"
