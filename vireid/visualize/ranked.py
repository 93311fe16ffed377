"""Cross-modality ranked lists: a query and its first answers, right ones and wrong ones told apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from vireid.runs.reading import NOBODY, Lists
from vireid.visualize.tiles import FRAME, LINE, PAPER, Photographs, Verdict, framed, write_lines

PLACES = 10  # answers shown
GAP, MARGIN, TITLE = 8, 16, 30


@dataclass(frozen=True)
class Answer:
    """A gallery image in a ranked list, and whether it is right."""

    path: str
    identity: int
    camera: int
    score: float
    verdict: Verdict


@dataclass(frozen=True)
class RankedQuery:
    """A row of the picture."""

    path: str
    identity: int
    camera: int
    answers: tuple[Answer, ...]
    first: int | None  # place of the first right answer, from 1; None where the saved list has none
    saved: int  # answers that were saved, of which `answers` are the first

    def sentence(self) -> str:
        """What the row shows, in words.

        >>> RankedQuery("a.jpg", 7, 3, (), None, 20).sentence()
        'no right answer in the first 20'
        """
        if self.first is None:
            return f"no right answer in the first {self.saved}"
        right = sum(answer.verdict is Verdict.RIGHT for answer in self.answers)
        return f"first right answer at place {self.first}, {right} right among the {len(self.answers)} shown"


def choose_queries(lists: Lists, number: int = 8) -> np.ndarray:
    """Rows of the queries to show, best first: (at most `number`,) int64.

    The rule: order all queries from best to worst by the place of their first right answer, then by how many of the
    first 10 answers are right, then by row; take `number` of them at even distances, the best and the worst included.
    So good, middling and failed queries appear in about the shares they have in the test set; nobody picks them.
    Queries that have no answer (`Lists.answerable`) are left out.
    """
    rows = np.flatnonzero(lists.answerable())
    correct = lists.correct()[rows]
    first = np.where(correct.any(axis=1), correct.argmax(axis=1), correct.shape[1])
    order = rows[np.lexsort((rows, -correct[:, :PLACES].sum(axis=1), first))]
    return order[np.unique(np.linspace(0, len(order) - 1, min(number, len(order))).round().astype(np.int64))]


def ranked_queries(lists: Lists, number: int = 8, places: int = PLACES) -> list[RankedQuery]:
    """The chosen queries and their first `places` answers; places without a counted answer are left out."""
    correct = lists.correct()
    rows = []
    for row in choose_queries(lists, number):
        counted = np.flatnonzero(lists.order[row] != NOBODY)
        answers = tuple(
            Answer(
                str(lists.gallery_path[image]),
                int(lists.gallery_id[image]),
                int(lists.gallery_camera[image]),
                float(lists.score[row, place]),
                Verdict.of(bool(correct[row, place])),
            )
            for place in counted[:places]
            for image in [lists.order[row, place]]
        )
        hits = np.flatnonzero(correct[row, counted])
        rows.append(
            RankedQuery(
                str(lists.query_path[row]),
                int(lists.query_id[row]),
                int(lists.query_camera[row]),
                answers,
                int(hits[0]) + 1 if len(hits) else None,
                len(counted),
            )
        )
    return rows


def tile_box(row: int, place: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a framed tile in `draw_ranked`; place 0 is the query, answers count from 1."""
    width, height = size[0] + 2 * FRAME, size[1] + 2 * FRAME
    left = MARGIN + place * (width + GAP) + (2 * GAP if place else 0)
    top = MARGIN + TITLE + row * (height + 4 * LINE + 2 * GAP)
    return left, top, left + width, top + height


def draw_ranked(
    queries: list[RankedQuery], photographs: Photographs, *, title: str, places: int = PLACES
) -> Image.Image:
    """One picture: a line for each query, the query at the left, its answers to the right, best first."""
    size = photographs.size
    right, bottom = tile_box(max(len(queries) - 1, 0), places, size)[2:]
    picture = Image.new("RGB", (right + MARGIN, bottom + 3 * LINE + GAP + MARGIN), PAPER)
    write_lines(picture, (MARGIN, MARGIN), [title], size=15, anchor="la")
    for row, query in enumerate(queries):
        tiles = [(query.path, Verdict.QUERY, ["query", f"id {query.identity}", f"camera {query.camera}"])]
        tiles += [
            (answer.path, answer.verdict, [f"id {answer.identity}", f"camera {answer.camera}", f"{answer.score:.3f}"])
            for answer in query.answers
        ]
        for place, (path, verdict, lines) in enumerate(tiles):
            left, top, right, bottom = tile_box(row, place, size)
            picture.paste(framed(photographs(path), verdict), (left, top))
            write_lines(picture, ((left + right) / 2, bottom + 3), lines)
    return picture
