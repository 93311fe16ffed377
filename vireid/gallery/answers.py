"""Ranked lists of a search as JSON, CSV or a self-contained HTML page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from vireid.core.errors import UserError
from vireid.core.io import write_text
from vireid.core.types import Modality, Sample
from vireid.gallery.store import UNKNOWN
from vireid.retrieval.ranking import NO_IMAGE, Ranking
from vireid.visualize.markup import document, facts, paragraph, section
from vireid.visualize.tiles import Photographs, data_uri

Answers = dict[str, Any]
FIELDS = ("query", "rank", "score", "path", "identity", "camera", "modality", "time")


def gathered(
    queries: Sequence[Sample], ranking: Ranking, columns: Mapping[str, np.ndarray], conditions: Mapping[str, str]
) -> Answers:
    """Collect the ranked lists as plain values: for each query its gallery images, best first."""
    return {
        "conditions": dict(conditions),
        "queries": [
            {
                "query": str(query.path),
                "answers": [
                    {"rank": place, "score": round(float(score), 6), **_known(columns, int(row))}
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
    writer = csv.DictWriter(out, FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    for one in answers["queries"]:
        writer.writerows({"query": one["query"], **answer} for answer in one["answers"])
    return out.getvalue()


def as_html(answers: Answers) -> str:
    """Pictures of each query and its answers, inlined."""
    photographs = Photographs()
    parts = [section("conditions", "Search", facts(answers["conditions"]))]
    for number, one in enumerate(answers["queries"], 1):
        tiles = [_tile(photographs, one["query"], "query")]
        for answer in one["answers"]:
            words = [f"{answer['rank']}: {answer['score']:.3f}"]
            words += [f"{name} {answer[name]}" for name in ("identity", "camera", "time") if name in answer]
            tiles.append(_tile(photographs, answer["path"], ", ".join(words)))
        row = f'<div style="display:flex;flex-wrap:wrap;gap:8px">{"".join(tiles)}</div>'
        parts.append(section(f"query-{number}", one["query"], row))
    if photographs.unreadable:
        parts.append(paragraph(f"{len(photographs.unreadable)} images could not be read for this page"))
    return document("Ranked lists", "\n".join(parts))


def _tile(photographs: Photographs, path: str, caption: str) -> str:
    image = f'<img src="{data_uri(photographs(path))}" alt="{escape(path)}" title="{escape(path)}">'
    return f'<figure style="margin:0;width:86px">{image}<figcaption>{escape(caption)}</figcaption></figure>'


WRITERS = {".json": as_json, ".csv": as_csv, ".html": as_html}


def checked_place(path: Path) -> Path:
    """Return the path; UserError if its suffix is not a supported format."""
    if path.suffix.lower() not in WRITERS:
        raise UserError(f"{path}: unknown format of a ranked list: use a name that ends in one of {', '.join(WRITERS)}")
    return path


def write(path: Path, answers: Answers) -> None:
    """Write the ranked lists in the format of the file name's suffix."""
    write_text(path, WRITERS[checked_place(path).suffix.lower()](answers))
