"""`exp/rand_perm_cam.mat` of the `sysu` layout, read as the official draw reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from vireid.core.types import EmbeddingTable, Modality, Sample
from vireid.evaluation import SysuProtocol
from vireid.evaluation.protocols.official import read_permutations
from vireid.synthetic import Recipe, sysu, write_dataset

FILE = Path("exp") / "rand_perm_cam.mat"


def test_each_folder_has_ten_permutations_of_its_images(small_set: Path, small_recipe: Recipe) -> None:
    cells = read_permutations(small_set / FILE)
    assert len(cells) == 6
    assert {len(cell) for cell in cells} == {533}, "one cell for each number that an identity may have"
    for camera, cell in enumerate(cells, start=1):
        for identity, table in enumerate(cell, start=1):
            images = sorted((small_set / f"cam{camera}" / f"{identity:04d}").glob("*.jpg"))
            if not images:
                assert table.size == 0
                continue
            assert table.shape == (10, small_recipe.images)
            assert (np.sort(table) == [int(image.stem) for image in images]).all()


def test_seed_decides_and_folders_and_trials_differ() -> None:
    people = sysu.plan(seed=0, identities=8)
    content = sysu.permutations(0, people, 10)
    assert content == sysu.permutations(0, people, 10)
    assert content != sysu.permutations(1, people, 10)
    tables = [np.asarray(cell[0]) for camera in _cells(content) for cell in camera if cell[0].size]
    assert len({table.tobytes() for table in tables}) == len(tables) > 30
    assert all(len({row.tobytes() for row in table}) == 10 for table in tables)


def _cells(content: bytes) -> list[np.ndarray]:
    import io

    return [camera[0] for camera in loadmat(io.BytesIO(content))["rand_perm_cam"]]


def test_numbers_above_255_are_kept() -> None:
    people = sysu.plan(seed=0, identities=5)
    (table, *_) = [cell[0] for camera in _cells(sysu.permutations(0, people, 300)) for cell in camera if cell[0].size]
    assert (np.sort(table) == np.arange(1, 301)).all()


def test_the_official_draw_takes_the_first_columns(small_set: Path) -> None:
    test_ids = [int(word) for word in (small_set / "exp" / "test_id.txt").read_text().split(",")]
    samples = [
        Sample(file, identity, Modality.INFRARED if camera in (3, 6) else Modality.VISIBLE, camera)
        for camera in range(1, 7)
        for identity in test_ids
        for file in sorted((small_set / f"cam{camera}" / f"{identity:04d}").glob("*.jpg"))
    ]
    columns = np.array([(s.identity, s.camera, s.modality) for s in samples])
    table = EmbeddingTable(np.zeros((len(samples), 1), np.float32), *columns.T, samples=samples)
    cells = read_permutations(small_set / FILE)
    trials = list(SysuProtocol(draw="official").trials(table))
    assert len(trials) == 10
    for number, trial in enumerate(trials):
        drawn = [samples[row] for row in trial.gallery]
        assert {(s.camera, s.identity) for s in drawn} == {
            (s.camera, s.identity) for s in samples if s.modality == Modality.VISIBLE
        }
        assert all(int(s.path.stem) == cells[s.camera - 1][s.identity - 1][number, 0] for s in drawn)


def test_a_set_of_an_older_version_gets_the_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    recipe = Recipe(identities=5, images=1, size=(32, 32))
    assert write_dataset(tmp_path / "set", recipe, progress=False)
    file = tmp_path / "set" / FILE
    content = file.read_bytes()
    file.unlink()
    assert not write_dataset(tmp_path / "set", recipe, progress=False)
    assert file.read_bytes() == content
    assert f"{file}: added" in capsys.readouterr().err
    assert not write_dataset(tmp_path / "set", recipe, progress=False)
    assert capsys.readouterr().err == ""
    assert len(list(tmp_path.rglob("*.partial*"))) == 0
