"""Ranked lists of a search as JSON, CSV or a self-contained HTML page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vireid.core.errors import UserError
from vireid.core.io import write_text
from vireid.core.types import Modality, Sample
from vireid.gallery.store import UNKNOWN
from vireid.gallery.verdict import NO_MATCH, Verdict
from vireid.retrieval.ranking import NO_IMAGE, Ranking
from vireid.visualize.rendering import render_page
from vireid.visualize.tiles import Photographs, data_uri

Answers = dict[str, Any]
FIELDS = ("query", "rank", "score", "path", "identity", "camera", "modality", "time")
JUDGED = ("match", "probability")  # columns of models with thresholds


def gathered(
    queries: Sequence[Sample],
    ranking: Ranking,
    columns: Mapping[str, np.ndarray],
    conditions: Mapping[str, str],
    verdict: Verdict | None = None,
) -> Answers:
    """Collect the ranked lists as plain values: for each query its gallery images, best first.

    With a verdict every image has `match`, whether its score is above the threshold, and the probability of the same
    identity if the scores are calibrated.
    """

    def judged(score: float) -> dict[str, Any]:
        return {} if verdict is None else verdict.of(score)

    return {
        "conditions": dict(conditions),
        "queries": [
            {
                "query": str(query.path),
                "answers": [
                    {"rank": place, "score": round(float(score), 6), **judged(score), **_known(columns, int(row))}
                    for place, (row, score) in enumerate(zip(ids, scores), 1)
                    if row != NO_IMAGE
                ],
            }
            for query, ids, scores in zip(queries, ranking.ids, ranking.scores)
        ],
    }


def _known(columns: Mapping[str, np.ndarray], row: int) -> dict[str, Any]:
    known: dict[str, Any] = {"path": str(columns["path"][row])}
    known |= {name: int(columns[name][row]) for name in ("identity", "camera") if columns[name][row] != UNKNOWN}
    known["modality"] = Modality(int(columns["modality"][row])).name.lower()
    if np.isfinite(columns["time"][row]):
        known["time"] = float(columns["time"][row])
    return known


def as_json(answers: Answers) -> str:
    """Format the ranked lists with their conditions as JSON."""
    return json.dumps(answers, indent=2) + "\n"


def as_csv(answers: Answers) -> str:
    """Format one CSV line for each returned image, without the conditions."""
    out = io.StringIO()
    judged = [name for name in JUDGED if any(name in answer for one in answers["queries"] for answer in one["answers"])]
    writer = csv.DictWriter(out, [*FIELDS, *judged], restval="", lineterminator="\n")
    writer.writeheader()
    for one in answers["queries"]:
        writer.writerows({"query": one["query"], **answer} for answer in one["answers"])
    return out.getvalue()


@dataclass(frozen=True)
class SearchImage:
    """The query or a gallery image of a ranked list."""

    uri: str
    path: str
    caption: str


@dataclass(frozen=True)
class SearchQuery:
    """A query with its ranked list; `images` starts with the query."""

    path: str
    images: Sequence[SearchImage]
    verdict: str = ""


@dataclass(frozen=True)
class SearchPage:
    """Content of the template `search.html.j2`."""

    conditions: Mapping[str, str]
    queries: Sequence[SearchQuery]
    unreadable: int  # number of images that could not be read


def as_html(answers: Answers) -> str:
    """Render the ranked lists as an HTML page with inlined images."""
    photographs = Photographs()
    queries = []
    for one in answers["queries"]:
        images = [_search_image(photographs, one["query"], "query")]
        for answer in one["answers"]:
            words = [f"{answer['rank']}: {answer['score']:.3f}"]
            words += [f"probability {answer['probability']:.2f}"] if "probability" in answer else []
            words += [f"{name} {answer[name]}" for name in ("identity", "camera", "time") if name in answer]
            images.append(_search_image(photographs, answer["path"], ", ".join(words)))
        matches = [answer["match"] for answer in one["answers"] if "match" in answer]
        verdict = f"{sum(matches)} of these images are above the threshold." if any(matches) else NO_MATCH
        queries.append(SearchQuery(one["query"], images, verdict if matches else ""))
    return render_page("search.html.j2", SearchPage(answers["conditions"], queries, len(photographs.unreadable)))


def _search_image(photographs: Photographs, path: str, caption: str) -> SearchImage:
    return SearchImage(data_uri(photographs(path)), path, caption)


WRITERS = {".json": as_json, ".csv": as_csv, ".html": as_html}


def checked_place(path: Path) -> Path:
    """Return the path; UserError if its suffix is not a supported format."""
    if path.suffix.lower() not in WRITERS:
        raise UserError(f"{path}: unknown format of a ranked list: use a name that ends in one of {', '.join(WRITERS)}")
    return path


def write(path: Path, answers: Answers) -> None:
    """Write the ranked lists in the format of the file name's suffix."""
    write_text(path, WRITERS[checked_place(path).suffix.lower()](answers))
