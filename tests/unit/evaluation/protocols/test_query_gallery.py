from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vireid.core.errors import DataError, UserError
from vireid.core.types import Modality, Sample
from vireid.evaluation import Evaluator, LLCMProtocol, QueryGalleryProtocol, RegDBProtocol, SysuProtocol
from vireid.retrieval import Similarity

VIS, NIR = Modality.VISIBLE, Modality.INFRARED


@pytest.fixture
def table(table_of):
    rng = np.random.default_rng(2)
    sysu = [(NIR if c in (3, 6) else VIS, i, c) for i in (4, 9, 30) for c in range(1, 7)]
    return table_of({key: int(rng.integers(2, 6)) for key in sysu})


def same(ours, theirs, table, cmc):
    assert ours.metric == cmc
    for left, right in zip(ours.trials(table), theirs.trials(table), strict=True):
        assert left.name == right.name
        assert left.query.tolist() == right.query.tolist()
        assert left.gallery.tolist() == right.gallery.tolist()
        junk = left.junk(left.query, left.gallery)
        assert junk.dtype == bool
        np.testing.assert_array_equal(junk, right.junk(right.query, right.gallery))


def test_published_protocols_are_cases_of_it(table):
    cameras = {"query_cameras": (3, 6), "gallery_cameras": (1, 2, 4, 5)}
    sysu = QueryGalleryProtocol(**cameras, shots=2, trials=10, exclude=((3, 2),))
    same(sysu, SysuProtocol(shots=2), table, "identity")
    llcm = QueryGalleryProtocol(shots=1, trials=10, same_camera="not_counted_for_same_person")
    same(llcm, LLCMProtocol(), replace(table, cameras=1 + table.cameras % 2), "identity")
    regdb = QueryGalleryProtocol(direction="visible_to_infrared", cmc="image")
    ordered = replace(table, labels=np.sort(table.labels), cameras=1 + table.modality)
    same(regdb, RegDBProtocol(), ordered, "image")


def test_all_images_answer_without_shots(table):
    protocol = QueryGalleryProtocol(gallery_cameras=(1, 4))
    (trial,) = protocol.trials(table)
    assert trial.gallery.tolist() == np.flatnonzero(np.isin(table.cameras, (1, 4))).tolist()
    assert protocol.gallery_rows(table).tolist() == trial.gallery.tolist()
    assert trial.query.tolist() == np.flatnonzero(table.modality == NIR).tolist()


def test_the_own_camera_is_left_out_for_everybody_or_for_the_same_person(table):
    table = replace(table, cameras=1 + table.cameras % 3)
    same_camera = table.cameras[:, None] == table.cameras[None]
    same_person = table.labels[:, None] == table.labels[None]
    expected = {"counted": same_camera & False, "not_counted": same_camera}
    expected["not_counted_for_same_person"] = same_camera & same_person
    for rule, junk in expected.items():
        (trial,) = QueryGalleryProtocol(same_camera=rule).trials(table)
        np.testing.assert_array_equal(
            trial.junk(trial.query, trial.gallery), junk[np.ix_(trial.query, trial.gallery)], err_msg=rule
        )


def test_pictures_of_one_camera_that_are_near_in_time_are_left_out(table_of):
    table = table_of({(VIS, 1, 1): 2, (VIS, 2, 1): 1, (VIS, 1, 2): 1, (NIR, 1, 1): 1})
    times = [10.0, 25.0, 12.0, 10.0, 11.0]
    samples = [Sample(Path(), 0, VIS, 0, time=time) for time in times]
    protocol = QueryGalleryProtocol(within_seconds=5)
    (trial,) = protocol.trials(replace(table, samples=samples))
    junk = dict(zip(trial.gallery.tolist(), trial.junk(trial.query, trial.gallery)[0].tolist()))
    assert junk == {0: True, 1: False, 2: True, 3: False}
    samples[1] = Sample(Path(), 0, VIS, 0)
    with pytest.raises(DataError, match="within_seconds needs a time for every test image; 1 of 5 have none"):
        list(protocol.trials(replace(table, samples=samples)))
    with pytest.raises(DataError, match="5 of 5 have none"):
        list(protocol.trials(table))


def test_conditions_say_everything_that_was_chosen():
    protocol = QueryGalleryProtocol(
        direction="visible_to_infrared", query_cameras=(1, 2), gallery_cameras=(3,), shots=4, trials=5,
        same_camera="not_counted", exclude=((1, 3), (2, 3)), within_seconds=2.5, cmc="image",
    )  # fmt: skip
    assert protocol.conditions == {
        "protocol": "query and gallery",
        "direction": "visible to infrared",
        "mode": "drawn gallery",
        "shots": 4,
        "trials": 5,
        "draw": "seeded",
        "cmc": "of images",
        "same_camera": "not counted",
        "query_cameras": "1 2",
        "gallery_cameras": "3",
        "excluded": "3 for 1 3 for 2",
        "not_counted": "own camera within 2.5 s",
    }
    assert QueryGalleryProtocol().conditions["shots"] == "all"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"direction": "visible_to_infared"}, "did you mean 'visible_to_infrared'"),
        ({"same_camera": "notcounted"}, "same_camera must be one of .*did you mean 'not_counted'"),
        ({"cmc": "images"}, "cmc must be one of .*did you mean 'image'"),
        ({"shots": -1}, "shots must be at least 0"),
        ({"trials": 10}, "shots 0 uses all images in every trial: trials must be 1, got 10"),
        ({"within_seconds": -1.0}, "within_seconds must be at least 0, got -1"),
    ],
)
def test_wrong_arguments_are_refused(change, text):
    with pytest.raises(UserError, match=text):
        QueryGalleryProtocol(**change)


def test_every_camera_without_an_image_on_its_side_is_named(table_of):
    table = table_of({(VIS, 1, 1): 2, (VIS, 1, 2): 2, (NIR, 1, 7): 1})
    with pytest.raises(DataError) as caught:
        list(QueryGalleryProtocol(gallery_cameras=(7, 8)).trials(table))
    assert str(caught.value) == (
        "QueryGalleryProtocol:\n"
        "    gallery_cameras: camera 7 has no gallery image (cameras of the gallery side: 1, 2)\n"
        "    gallery_cameras: camera 8 does not exist (cameras of the test images: visible 1, 2; infrared 7)"
    )


NAMED = {(VIS, 1, 1): 2, (VIS, 1, 2): 2, (NIR, 1, 3): 1, (NIR, 1, 4): 2}
NAMES = {1: "yard", 2: "hall", 3: "gate", 4: "door", 5: "attic"}


def test_cameras_are_named_or_numbered(table_of):
    table = replace(table_of(NAMED), camera_names=NAMES)
    by_name = QueryGalleryProtocol(query_cameras=("gate", 4), gallery_cameras=("yard",), exclude=(("door", "yard"),))
    by_number = QueryGalleryProtocol(query_cameras=("3", 4.0), gallery_cameras=(1,), exclude=((4, 1),))
    same(by_name, by_number, table, "identity")
    (trial,) = by_name.trials(table)
    assert set(table.cameras[trial.gallery]) == {1}
    assert trial.junk(trial.query, trial.gallery).all(axis=1).tolist() == [False, True, True]
    stated = {"query_cameras": "3 (gate) 4 (door)", "gallery_cameras": "1 (yard)", "excluded": "1 (yard) for 4 (door)"}
    for protocol in (by_name, by_number):
        assert stated.items() <= protocol.conditions_on(table).items()
    assert by_number.conditions_on(table_of(NAMED))["excluded"] == "1 for 4"
    report = Evaluator(by_name, similarity=Similarity())(replace(table, embeddings=np.eye(7, dtype=np.float32)))
    assert stated.items() <= report.conditions.items()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"exclude": ((6, 3),)}, "exclude: camera 6 does not exist (cameras of the test images: visible 1 (yard)"),
        ({"exclude": (("gaet", 1),)}, "exclude: no camera is named 'gaet'; did you mean 'gate'? (cameras of the test"),
        ({"exclude": ((1, 3),)}, "exclude: camera 1 (yard) has no query image (cameras of the query side: 3 (gate), 4"),
        ({"exclude": ((3, 4),)}, "exclude: camera 4 (door) has no gallery image (cameras of the gallery side: 1"),
        ({"query_cameras": (3, 1)}, "query_cameras: camera 1 (yard) has no query image"),
        ({"gallery_cameras": ("gate",)}, "gallery_cameras: camera 3 (gate) has no gallery image"),
        ({"gallery_cameras": (0,)}, "gallery_cameras: camera 0 does not exist"),
        ({"gallery_cameras": ("attic",)}, "gallery_cameras: camera 5 (attic) has no test image"),
        ({"gallery_cameras": ("YARD",)}, "gallery_cameras: no camera is named 'YARD'; did you mean 'yard'?"),
        ({"gallery_cameras": ("yard",), "exclude": ((3, 2),)}, "exclude: camera 2 (hall) has no gallery image"),
    ],
)  # fmt: skip
def test_cameras_that_match_nothing_are_errors(table_of, change, fault):
    with pytest.raises(DataError) as caught:
        list(QueryGalleryProtocol(**change).trials(replace(table_of(NAMED), camera_names=NAMES)))
    assert " ".join(str(caught.value).split()).startswith(f"QueryGalleryProtocol: {fault}")


def test_names_need_a_dataset_with_names(table_of):
    with pytest.raises(DataError, match="no camera is named 'yard'; the cameras of this dataset have numbers only"):
        list(QueryGalleryProtocol(gallery_cameras=("yard",)).trials(table_of(NAMED)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"query_cameras": "yard"}, "query_cameras is a list of cameras, got 'yard'"),
        ({"query_cameras": (True,)}, "query_cameras: True is neither a camera number nor a camera name"),
        ({"query_cameras": (1.5,)}, "query_cameras: 1.5 is neither"),
        ({"query_cameras": (None,)}, "query_cameras: None is neither"),
        ({"query_cameras": (-1,)}, "query_cameras: camera -1 is not between 0 and"),
        ({"gallery_cameras": (2**63,)}, "gallery_cameras: camera 9223372036854775808 is not between 0 and"),
        ({"gallery_cameras": (1, "1.0")}, "gallery_cameras names cameras more than once: 1"),
        ({"exclude": ((1,),)}, "exclude is a list of pairs .query camera, gallery camera., got the entry"),
        ({"exclude": ("ab",)}, "exclude is a list of pairs"),
        ({"exclude": (1, 2)}, "exclude is a list of pairs"),
    ],
)
def test_what_is_no_camera_is_refused_at_once(change, text):
    with pytest.raises(UserError, match=text):
        QueryGalleryProtocol(**change)
