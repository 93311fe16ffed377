"""Cross-modality ranked lists: each query with its nearest gallery images, correct and incorrect matches marked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from vireid.retrieval.ranking import NO_IMAGE
from vireid.runs.results import Lists
from vireid.visualize.tiles import FRAME, LINE, PAPER, Photographs, Verdict, framed, write_lines

PLACES = 10  # gallery images shown for a query
GAP, MARGIN, TITLE = 8, 16, 30


@dataclass(frozen=True)
class RankedImage:
    """A gallery image in a ranked list; `verdict` states whether it is a correct match."""

    path: str
    identity: int
    camera: int
    score: float
    verdict: Verdict


@dataclass(frozen=True)
class RankedQuery:
    """A query with the first entries of its ranked list."""

    path: str
    identity: int
    camera: int
    images: tuple[RankedImage, ...]
    first: int | None  # rank of the first correct match, from 1; None where the saved list has none
    saved: int  # length of the saved ranked list; `images` are its first entries

    def sentence(self) -> str:
        """Describe the rank of the first correct match.

        >>> RankedQuery("a.jpg", 7, 3, (), None, 20).sentence()
        'no correct match within the first 20 ranks'
        """
        if self.first is None:
            return f"no correct match within the first {self.saved} ranks"
        correct = sum(image.verdict is Verdict.CORRECT for image in self.images)
        return f"first correct match at rank {self.first}, {correct} of the {len(self.images)} images shown are correct"


def ranked_caption(protocol: str, query: str, gallery: str) -> str:
    """Caption of a picture of ranked lists.

    >>> ranked_caption("all", "infrared", "visible")
    'all: infrared queries, visible gallery. Tick: correct match, cross: incorrect match.'
    """
    return f"{protocol}: {query} queries, {gallery} gallery. Tick: correct match, cross: incorrect match."


def choose_queries(lists: Lists, number: int = 8) -> np.ndarray:
    """Choose the queries to show by a fixed rule.

    All queries are sorted by the rank of their first correct match, then by the number of correct matches within the
    first 10 ranks, then by row. `number` of them are taken at equal distances, including the best and the worst. So
    the shares of easy and of failed queries are about those of the test set. Queries without a correct match in the
    gallery (`Lists.answerable`) are left out.

    Returns:
        Query rows (at most `number`,) int64, best first.
    """
    rows = np.flatnonzero(lists.answerable())
    correct = lists.correct()[rows]
    first = np.where(correct.any(axis=1), correct.argmax(axis=1), correct.shape[1])
    order = rows[np.lexsort((rows, -correct[:, :PLACES].sum(axis=1), first))]
    return order[np.unique(np.linspace(0, len(order) - 1, min(number, len(order))).round().astype(np.int64))]


def ranked_queries(lists: Lists, number: int = 8, places: int = PLACES) -> list[RankedQuery]:
    """Collect the chosen queries with the first `places` entries of their ranked lists, without ignored ones."""
    correct = lists.correct()
    rows = []
    for row in choose_queries(lists, number):
        counted = np.flatnonzero(lists.order[row] != NO_IMAGE)
        images = tuple(
            RankedImage(
                str(lists.gallery_path[gallery_row]),
                int(lists.gallery_id[gallery_row]),
                int(lists.gallery_camera[gallery_row]),
                float(lists.score[row, place]),
                Verdict.of(bool(correct[row, place])),
            )
            for place in counted[:places]
            for gallery_row in [lists.order[row, place]]
        )
        hits = np.flatnonzero(correct[row, counted])
        rows.append(
            RankedQuery(
                str(lists.query_path[row]),
                int(lists.query_id[row]),
                int(lists.query_camera[row]),
                images,
                int(hits[0]) + 1 if len(hits) else None,
                len(counted),
            )
        )
    return rows


def tile_box(row: int, place: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a framed tile in `draw_ranked`; place 0 is the query, place k is rank k."""
    width, height = size[0] + 2 * FRAME, size[1] + 2 * FRAME
    left = MARGIN + place * (width + GAP) + (2 * GAP if place else 0)
    top = MARGIN + TITLE + row * (height + 4 * LINE + 2 * GAP)
    return left, top, left + width, top + height


def draw_ranked(
    queries: list[RankedQuery], photographs: Photographs, *, title: str, places: int = PLACES
) -> Image.Image:
    """Draw one row for each query: the query at the left, then its ranked list."""
    size = photographs.size
    right, bottom = tile_box(max(len(queries) - 1, 0), places, size)[2:]
    picture = Image.new("RGB", (right + MARGIN, bottom + 3 * LINE + GAP + MARGIN), PAPER)
    write_lines(picture, (MARGIN, MARGIN), [title], size=15, anchor="la")
    for row, query in enumerate(queries):
        tiles = [(query.path, Verdict.QUERY, ["query", f"id {query.identity}", f"camera {query.camera}"])]
        tiles += [
            (image.path, image.verdict, [f"id {image.identity}", f"camera {image.camera}", f"{image.score:.3f}"])
            for image in query.images
        ]
        for place, (path, verdict, lines) in enumerate(tiles):
            left, top, right, bottom = tile_box(row, place, size)
            picture.paste(framed(photographs(path), verdict), (left, top))
            write_lines(picture, ((left + right) / 2, bottom + 3), lines)
    return picture
