from __future__ import annotations

import random

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.core.types import EmbeddingTable
from vireid.evaluation import SysuProtocol


def table_of(images):
    """{(identity, camera): number of images}, in the reader's order."""
    rows = [key for key in sorted(images) for _ in range(images[key])]
    labels, cameras = np.array(rows).T
    modality = np.isin(cameras, (3, 6)).astype(np.int64)
    return EmbeddingTable(np.zeros((len(rows), 1), np.float32), labels, cameras, modality)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    images = {(i, c): int(rng.integers(3, 9)) for i in (4, 9, 30, 501) for c in range(1, 7)}
    del images[9, 2], images[30, 1], images[4, 6]
    return table_of(images)


def released_draw(table, cameras, trial):
    """The published loop, with the global generator."""
    state = random.getstate()
    random.seed(trial)
    picked = []
    for identity in sorted(set(table.labels.tolist())):
        for camera in cameras:
            folder = np.flatnonzero((table.labels == identity) & (table.cameras == camera)).tolist()
            if folder:
                picked.append(random.choice(folder))
    random.setstate(state)
    return picked


@pytest.mark.parametrize(("mode", "cameras"), [("all", (1, 2, 4, 5)), ("indoor", (1, 2))])
def test_draws_equal_the_published_loop(table, mode, cameras):
    trials = list(SysuProtocol(mode=mode).trials(table))
    assert [trial.name for trial in trials] == [f"trial {t}" for t in range(10)]
    for number, trial in enumerate(trials):
        assert trial.gallery.tolist() == released_draw(table, cameras, number)
    assert len({tuple(trial.gallery) for trial in trials}) > 1


def test_every_infrared_image_asks_in_both_modes(table):
    rows = SysuProtocol(mode="indoor").query_rows(table)
    assert rows.tolist() == SysuProtocol(mode="all").query_rows(table).tolist()
    assert rows.tolist() == np.flatnonzero(table.modality == 1).tolist()


def test_gallery_rows_are_the_union_of_the_draws(table):
    protocol = SysuProtocol(trials=3)
    drawn = {row for trial in protocol.trials(table) for row in trial.gallery.tolist()}
    assert protocol.gallery_rows(table).tolist() == sorted(drawn)


def test_the_global_generator_is_not_touched(table):
    state = random.getstate()
    list(SysuProtocol().trials(table))
    assert random.getstate() == state


def test_several_shots_are_different_images_of_each_camera(table):
    (trial,) = SysuProtocol(shots=3, trials=1).trials(table)
    assert len(trial.gallery) == len(set(trial.gallery.tolist())) == 3 * 14
    folders = list(zip(table.labels[trial.gallery], table.cameras[trial.gallery]))
    assert folders == [folder for folder in dict.fromkeys(folders) for _ in range(3)]


def test_camera_2_is_junk_for_camera_3_whoever_is_on_it(table):
    (trial,) = SysuProtocol(trials=1).trials(table)
    junk = trial.junk(trial.query, trial.gallery)
    expected = [[table.cameras[q] == 3 and table.cameras[g] == 2 for g in trial.gallery] for q in trial.query]
    np.testing.assert_array_equal(junk, expected)
    assert junk.any()


def test_a_table_in_another_order_of_folders_gives_the_same_images(table):
    order = np.lexsort((np.arange(len(table)), -table.labels))  # names within a folder stay in order
    other = EmbeddingTable(table.embeddings, table.labels[order], table.cameras[order], table.modality[order])
    for ours, theirs in zip(SysuProtocol().trials(table), SysuProtocol().trials(other)):
        assert ours.gallery.tolist() == order[theirs.gallery].tolist()
        assert ours.query.tolist() == order[theirs.query].tolist()


def test_conditions_say_what_was_measured():
    assert SysuProtocol(mode="indoor", trials=4).conditions == {
        "protocol": "SYSU-MM01",
        "direction": "infrared to visible",
        "mode": "indoor",
        "shots": 1,
        "trials": 4,
        "draw": "seeded",
    }


@pytest.mark.parametrize("change", [{"mode": "outdoor"}, {"shots": 0}, {"trials": 0}, {"draw": "oficial"}])
def test_wrong_arguments_are_refused(change):
    with pytest.raises(UserError, match=f"{next(iter(change))}.*{next(iter(change.values()))}"):
        SysuProtocol(**change)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"draw": "oficial"}, "draw must be one of .*, got 'oficial'; did you mean 'official'"),
        ({"seed": 3}, "seed must be at least 0, and is for draw 'unseeded' only; got 3 with draw 'seeded'"),
        ({"permutations": "x.mat"}, "permutations are for draw 'official' only; draw is 'seeded'"),
    ],
)
def test_arguments_that_do_not_fit_together_say_so(change, text):
    with pytest.raises(UserError, match=text):
        SysuProtocol(**change)


def test_the_unseeded_convention_is_numpys_with_a_stated_seed(table):
    protocol = SysuProtocol(draw="unseeded", shots=3, trials=2, seed=5)
    generator = np.random.RandomState(5)
    for trial in protocol.trials(table):
        expected = []
        for identity in sorted(set(table.labels.tolist())):
            for camera in (1, 2, 4, 5):
                folder = np.flatnonzero((table.labels == identity) & (table.cameras == camera))
                expected += generator.choice(folder, 3, replace=False).tolist() if len(folder) else []
        assert trial.gallery.tolist() == expected
    first, second = (SysuProtocol(draw="unseeded", seed=seed).gallery_rows(table).tolist() for seed in (5, 6))
    assert first != second
    assert protocol.conditions["draw"] == "unseeded in the release; here NumPy with seed 5"


def test_too_few_images_for_the_shots_name_the_folder():
    table = table_of({(7, 1): 12, (7, 4): 3, (7, 3): 1})
    with pytest.raises(
        DataError, match="10 shots of identity 7 in camera 4 were asked for, but there are only 3 images"
    ):
        list(SysuProtocol(shots=10).trials(table))


@pytest.mark.parametrize(("camera", "role"), [(1, "query"), (3, "gallery")])
def test_a_table_without_queries_or_gallery_is_an_error(camera, role):
    with pytest.raises(DataError, match=f"no {role} images: none of the 5 test images"):
        list(SysuProtocol().trials(table_of({(1, camera): 5})))


@pytest.mark.parametrize(
    ("camera", "modality", "text"),
    [
        (7, 0, "1 of the 3 test images do not fit, such as those of camera 7 (seven) (visible)"),
        (0, 1, "such as those of camera 0 (infrared)"),
        (3, 0, "such as those of camera 3 (visible) (cameras of the test images: visible 1, 3; infrared 6)"),
        (1, 1, "such as those of camera 1 (infrared)"),
    ],
)
def test_cameras_of_another_dataset_are_refused(camera, modality, text):
    """The rule for queries of camera 3 and images of camera 2 means nothing for them."""
    cameras, modalities = np.array([1, 6, camera]), np.array([0, 1, modality])
    table = EmbeddingTable(
        np.zeros((3, 1), np.float32), np.ones(3, int), cameras, modalities, camera_names={7: "seven"}
    )
    with pytest.raises(DataError) as caught:
        list(SysuProtocol().trials(table))
    assert text in str(caught.value)
    assert str(caught.value).endswith("For other cameras use QueryGalleryProtocol")
