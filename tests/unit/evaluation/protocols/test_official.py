from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from vireid.core.errors import DataError
from vireid.core.types import EmbeddingTable, Modality, Sample
from vireid.evaluation import SysuProtocol

PEOPLE, IMAGES = (2, 5), {1: (1, 2, 3, 4), 2: (2, 3, 7), 3: (1, 2), 4: (1, 2, 3, 4, 5, 6, 7), 5: (9,), 6: (1,)}


def cell(values) -> np.ndarray:
    out = np.empty((len(values), 1), object)
    for row, value in enumerate(values):
        out[row, 0] = value
    return out


@pytest.fixture
def table(tmp_path: Path) -> EmbeddingTable:
    samples = [
        Sample(tmp_path / f"cam{camera}/{identity:04d}/{number:04d}.jpg", identity, modality, camera)
        for identity in PEOPLE
        for camera, numbers in IMAGES.items()
        for modality in [Modality.INFRARED if camera in (3, 6) else Modality.VISIBLE]
        for number in numbers
    ]
    columns = np.array([(s.identity, s.camera, s.modality) for s in samples])
    return EmbeddingTable(np.zeros((len(samples), 1), np.float32), *columns.T, samples=samples)


@pytest.fixture
def permutations() -> list[list[np.ndarray]]:
    """[camera][identity] of five identities, four trials; only identities 2 and 5 were seen."""
    rng = np.random.default_rng(0)
    return [
        [
            np.array([rng.permutation(numbers) for _ in range(4)], np.uint8) if identity in PEOPLE else np.zeros((0, 0))
            for identity in range(1, 6)
        ]
        for numbers in IMAGES.values()
    ]


def write(folder: Path, permutations: list[list[np.ndarray]], variable: str = "rand_perm_cam") -> Path:
    (folder / "exp").mkdir(exist_ok=True)
    file = folder / "exp" / "rand_perm_cam.mat"
    savemat(file, {variable: cell([cell(of_camera) for of_camera in permutations])})
    return file


def names(table: EmbeddingTable, rows: np.ndarray) -> list[str]:
    return [table.samples[row].path.with_suffix("").as_posix().split("/", -1)[-3:] for row in rows]


@pytest.mark.parametrize("shots", [1, 5])
def test_the_first_entries_of_the_trials_row_cameras_outermost(tmp_path, table, permutations, shots):
    write(tmp_path, permutations)
    for number, trial in enumerate(SysuProtocol(draw="official", shots=shots, trials=4).trials(table)):
        assert names(table, trial.gallery) == [
            [f"cam{camera}", f"{identity:04d}", f"{image:04d}"]
            for camera in (1, 2, 4, 5)
            for identity in PEOPLE
            for image in permutations[camera - 1][identity - 1][number][:shots]
        ]


def test_queries_are_those_of_every_convention(tmp_path, table, permutations):
    write(tmp_path, permutations)
    official = SysuProtocol(draw="official", trials=4, mode="indoor")
    assert official.query_rows(table).tolist() == SysuProtocol().query_rows(table).tolist()
    assert official.conditions["draw"] == "official"
    assert set(table.cameras[official.gallery_rows(table)]) == {1, 2}


def test_the_file_may_be_named(tmp_path, table, permutations):
    file = write(tmp_path, permutations).rename(tmp_path / "mine.mat")
    without = replace(table, samples=[replace(s, path=Path("elsewhere", *s.path.parts[-3:])) for s in table.samples])
    protocol = SysuProtocol(draw="official", trials=4, permutations=str(file))
    assert next(iter(protocol.trials(without))).gallery.size == 8
    with pytest.raises(DataError, match=re.escape("elsewhere/exp/rand_perm_cam.mat does not exist: the official draw")):
        list(SysuProtocol(draw="official", trials=4).trials(without))


def test_a_table_without_names_is_refused(table):
    with pytest.raises(DataError, match="their paths are unknown"):
        list(SysuProtocol(draw="official").trials(replace(table, samples=None)))


def test_faults_of_the_file(tmp_path, table, permutations):
    def text(trials: int = 4) -> str:
        with pytest.raises(DataError) as caught:
            list(SysuProtocol(draw="official", trials=trials).trials(table))
        return str(caught.value).replace(str(file), "FILE")

    file = write(tmp_path, permutations)
    assert text(5) == "FILE has 4 trials in camera 1; 5 were asked for"
    write(tmp_path, permutations, "perm")
    assert text() == "FILE has no variable 'rand_perm_cam' (found: perm)"
    write(tmp_path, [of_camera[:4] for of_camera in permutations])
    assert text() == "FILE has no permutations in camera 1 for the identities 5"
    write(tmp_path, permutations[:3])
    assert text() == "FILE has permutations of 3 cameras; camera 5 was asked for"
    permutations[0][1][0, 0] = 77
    write(tmp_path, permutations)
    assert text() == "FILE names images that are not among the test images: cam1/0002/0077"
    file.write_bytes(b"not a matrix")
    assert text().startswith("FILE is not a MATLAB file that can be read: ")


def test_images_must_be_named_by_number(tmp_path, table, permutations):
    write(tmp_path, permutations)
    samples = [replace(s, path=s.path.with_name("x.jpg")) for s in table.samples]
    with pytest.raises(DataError, match=r"needs images that are named by numbers, but these are not: .*x\.jpg"):
        list(SysuProtocol(draw="official", trials=4).trials(replace(table, samples=samples)))


def test_images_that_lie_in_no_camera_folder_are_one_clear_error(table):
    samples = [replace(s, path=Path("/x.jpg")) for s in table.samples]
    with pytest.raises(
        DataError, match=r"next to images such as cam1/0001/0001.jpg, but /x.jpg is not in such a folder"
    ):
        list(SysuProtocol(draw="official").trials(replace(table, samples=samples)))
