"""What an evaluation leaves on disk beside its numbers: ranked lists, the measurements of each query, descriptors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vireid.core.io import replaced_file
from vireid.core.types import EmbeddingTable, Sample
from vireid.evaluation.evaluator import Evaluator
from vireid.evaluation.report import Report
from vireid.retrieval.ranking import NO_IMAGE

DEPTH = 20  # answers kept for each query


QUERY_COLUMNS = {  # name in queries.npz -> attribute of QueryScores and type on disk
    "counted": ("counted", bool),
    "first": ("first", np.int32),
    "average_precision": ("average_precision", np.float32),
    "inverse_penalty": ("inverse_negative_penalty", np.float32),
}


def save_rankings(
    path: Path, evaluators: Mapping[str, Evaluator], table: EmbeddingTable, samples: Sequence[Sample], *, k: int = DEPTH
) -> None:
    """Write the first k answers of every query in the first trial of each protocol.

    Arrays of protocol NAME, all readable without pickle: `NAME/query_path`, `NAME/query_id`, `NAME/query_camera` (Q,);
    `NAME/gallery_path`, `NAME/gallery_id`, `NAME/gallery_camera` (G,), only images that answer somewhere;
    `NAME/order` (Q, k) rows of those, best first, -1 where fewer than k are counted; `NAME/score` (Q, k) larger is
    closer. Where cameras have names, `NAME/camera_number` and `NAME/camera_name` (C,) list them. Row i of the table is
    samples[i].
    """
    paths = np.array([str(sample.path) for sample in samples])
    arrays: dict[str, np.ndarray] = {}
    for name, evaluator in evaluators.items():
        lists = evaluator.ranking(table, trial=0, k=k)
        order = lists.ranking.ids
        rows = np.unique(order[order != NO_IMAGE])
        sides = {"query": lists.queries, "gallery": rows}
        for side, of_side in sides.items():
            arrays[f"{name}/{side}_path"] = paths[of_side]
            arrays[f"{name}/{side}_id"] = table.labels[of_side]
            arrays[f"{name}/{side}_camera"] = table.cameras[of_side]
        arrays[f"{name}/order"] = np.where(order == NO_IMAGE, NO_IMAGE, np.searchsorted(rows, order))
        arrays[f"{name}/score"] = lists.ranking.scores
        if table.camera_names:
            arrays[f"{name}/camera_number"] = np.array(list(table.camera_names), np.int64)
            arrays[f"{name}/camera_name"] = np.array(list(table.camera_names.values()))
    with replaced_file(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def save_queries(path: Path, reports: Mapping[str, Report], table: EmbeddingTable, *, listing: str = "") -> None:
    """Write what each query scored in each trial, for comparisons of two runs query by query.

    Arrays of protocol NAME: `NAME/row`, `NAME/id`, `NAME/camera` (Q,), every image that asks in some trial;
    `NAME/counted` (T, Q) bool, False where a trial does not ask or finds no correct image; `NAME/first` (T, Q) int32,
    place of the first correct image; `NAME/average_precision`, `NAME/inverse_penalty` (T, Q) float32.
    `listing` is the digest of the test listing, where it is known: rows mean the same images in files of one digest.
    """
    arrays: dict[str, np.ndarray] = {"listing": np.array(listing)} if listing else {}
    for name, report in reports.items():
        trials = list(report.queries.values())
        rows = np.unique(np.concatenate([trial.rows for trial in trials]))
        places = [np.searchsorted(rows, trial.rows) for trial in trials]
        arrays |= {
            f"{name}/row": rows,
            f"{name}/id": table.labels[rows],
            f"{name}/camera": table.cameras[rows],
        }
        for column, (attribute, dtype) in QUERY_COLUMNS.items():
            values = np.zeros((len(trials), len(rows)), dtype)
            for line, trial, place in zip(values, trials, places, strict=True):
                line[place] = getattr(trial.scores, attribute)
            arrays[f"{name}/{column}"] = values
    with replaced_file(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def save_features(path: Path, table: EmbeddingTable) -> None:
    """Write the descriptors of all test images (float16: enough for pictures and for a second look) and their columns:
    `features` (N, D), `labels`, `cameras`, `modality` (N,), `paths` (N,) text."""
    paths = np.array([str(sample.path) for sample in table.samples or ()])
    with replaced_file(path) as file:
        np.savez(
            file,  # type: ignore[arg-type]
            features=table.embeddings.astype(np.float16),
            labels=table.labels,
            cameras=table.cameras,
            modality=table.modality,
            paths=paths,
        )
