"""The written LLCM layout is one that the reader takes, and every query in it has an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from vireid.core.types import Modality
from vireid.data.datasets.llcm import LLCM
from vireid.synthetic import Recipe, llcm, write_dataset

RECIPE = Recipe(layout="llcm", identities=7, images=2, seed=3, size=(32, 32))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "webcam" / "llcm"
    assert write_dataset(folder, RECIPE, progress=False)
    return folder


def test_the_reader_takes_it(root: Path) -> None:
    data = LLCM(root=str(root), attributes=str(root / "attributes.csv"))
    train, test, plan = data.train(), data.test(), RECIPE.people()
    assert data.facts().num_ids == len(plan.train) == 5
    assert {s.identity for s in test} == set(plan.test)
    assert {int(s.path.parent.name) for s in train} == set(plan.train)
    for samples in (train, test):
        seen = {(int(s.path.parent.name), s.camera + 10 * s.modality) for s in samples}
        assert seen == {(n, key) for n in {n for n, _ in seen} for key in plan.cameras[n]}
        assert len(samples) == 2 * len(seen)
        assert all(s.attributes is not None for s in samples)


def test_an_attribute_that_differs_between_the_modes_of_a_device_is_unknown(root: Path) -> None:
    world, plan = RECIPE.world(), RECIPE.people()
    for sample in LLCM(root=str(root), attributes=str(root / "attributes.csv")).train():
        number = int(sample.path.parent.name)
        keys = [key for key in plan.cameras[number] if key % 10 == sample.camera]
        modes = [world.attributes(number, key).bits().tolist() for key in keys]
        assert sample.attributes == tuple(v[0] if len(set(v)) == 1 else -1 for v in zip(*modes))


def test_everybody_is_seen_by_two_devices_in_both_modes() -> None:
    plan = llcm.plan(seed=1, identities=80)
    assert len(plan.test) == round(80 * 351 / 1064)
    for cameras in plan.cameras.values():
        both = {key for key in cameras if key + 10 in cameras}
        assert 2 <= len(both) <= 4
        assert set(cameras) - both - {key + 10 for key in both} <= {3}
    assert 0 < sum(3 in cameras for cameras in plan.cameras.values()) < 80


def test_devices_look_at_places_of_their_own_in_both_modes() -> None:
    assert sorted(llcm.CAMERAS) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14, 15, 16, 17, 18, 19]
    for key, camera in llcm.CAMERAS.items():
        assert camera.infrared == (key > 10)
        assert camera.number == key % 10
        assert camera.scene == llcm.CAMERAS[key % 10].scene
    assert len({camera.scene for camera in llcm.CAMERAS.values()}) == 9


def test_folders_and_names(root: Path) -> None:
    assert sorted(entry.name for entry in root.iterdir()) == [
        "attributes.csv", "idx", "nir", "synthetic.json", "test_nir", "test_vis", "vis",
    ]  # fmt: skip
    assert not (root / "test_nir" / "cam3").exists()
    (first,) = (root / "idx" / "train_nir.txt").read_text().splitlines()[:1]
    number = RECIPE.people().train[0]
    assert first.startswith(f"nir/{number:04d}/{number:04d}_c0")
    assert first.endswith("_f0001_nir.jpg 0")
    assert Modality.INFRARED in {s.modality for s in LLCM(root=str(root)).test()}
