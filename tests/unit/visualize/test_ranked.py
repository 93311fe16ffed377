"""Ranked lists: which queries, in which order, framed how and where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vireid.runs.reading import read_run
from vireid.runs.results import Lists
from vireid.visualize.ranked import choose_queries, draw_ranked, ranked_queries, tile_box
from vireid.visualize.tiles import CORRECT_COLOR, FRAME, INCORRECT_COLOR, PAPER, QUERY_COLOR, Photographs, Verdict


def lists_with_first_hits(first: list[int], places: int = 12) -> Lists:
    """Query i asks for person 1; its first (only) right image is at place first[i], 0: nowhere."""
    order = np.ones((len(first), places), dtype=np.int64)
    for row, place in enumerate(first):
        if place:
            order[row, place - 1] = 0
    side = {"path": np.array(["a.png"] * len(first)), "id": np.ones(len(first), int)}
    return Lists(
        "all",
        query_path=side["path"],
        query_id=side["id"],
        query_camera=np.full(len(first), 3),
        gallery_path=np.array(["right.png", "wrong.png"]),
        gallery_id=np.array([1, 2]),
        gallery_camera=np.array([1, 2]),
        order=order,
        score=np.zeros(order.shape, np.float32),
    )


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (8, [2, 4, 0, 3, 5, 1]),  # first hits at 1, 1, 2, 4, 11, nowhere; equal ones by row
        (3, [2, 0, 1]),  # the best, one between, the worst
        (2, [2, 1]),
        (1, [2]),
    ],
)
def test_queries_from_best_to_worst_at_even_distances(number: int, expected: list[int]) -> None:
    assert choose_queries(lists_with_first_hits([2, 0, 1, 4, 1, 11]), number).tolist() == expected


def test_failed_queries_appear_in_their_share() -> None:
    lists = lists_with_first_hits([1] * 50 + [5] * 25 + [0] * 25)
    first = [query.first for query in ranked_queries(lists, 8)]
    assert first == [1, 1, 1, 1, 5, 5, None, None]


def test_rows_of_a_run(finished: Path) -> None:
    lists = read_run(finished).lists[0]
    rows = ranked_queries(lists, 20)
    assert [(row.identity, row.camera) for row in rows] == [
        (1, 3),
        (1, 6),
        (2, 3),
        (3, 6),
        (2, 6),
        (3, 3),
    ]  # 9 left out
    assert [row.first for row in rows] == [1, 1, 2, 2, 4, 5]
    second = rows[1]
    assert [(image.identity, image.camera) for image in second.images] == [(1, 1), (2, 1), (1, 2), (2, 2)]  # no -1
    assert [image.verdict for image in second.images] == [
        Verdict.CORRECT,
        Verdict.INCORRECT,
        Verdict.CORRECT,
        Verdict.INCORRECT,
    ]
    assert second.images[0].score == pytest.approx(0.9)
    assert second.sentence() == "first correct match at rank 1, 2 of the 4 images shown are correct"


def test_frames_stand_where_the_answers_are(finished: Path) -> None:
    lists = read_run(finished).lists[0]
    rows = ranked_queries(lists, 20)
    photographs = Photographs((40, 80))
    pixels = np.asarray(draw_ranked(rows, photographs, title="all"))
    for number, row in enumerate(rows):
        tiles = [(row.identity, row.camera, QUERY_COLOR)]
        tiles += [
            (a.identity, a.camera, CORRECT_COLOR if a.identity == row.identity else INCORRECT_COLOR) for a in row.images
        ]
        for place, (identity, camera, color) in enumerate(tiles):
            left, top, right, bottom = tile_box(number, place, photographs.size)
            assert (pixels[bottom - FRAME : bottom, left:right] == color).all()
            assert (pixels[top + 20 : bottom, left : left + FRAME] == color).all()
            assert (pixels[top + 20 : bottom, right - FRAME : right] == color).all()
            assert (pixels[(top + bottom) // 2, (left + right) // 2] == (20 * identity, 10 * camera, 200)).all()
            assert (pixels[top:bottom, left - 3 : left] == PAPER).all()
        left, top, right, bottom = tile_box(number, len(tiles), photographs.size)
        assert (pixels[top:bottom, left:right] == PAPER).all()  # empty rank: no frame


def test_picture_without_queries_is_still_a_picture() -> None:
    assert isinstance(draw_ranked([], Photographs((40, 80)), title="none"), Image.Image)
