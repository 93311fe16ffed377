"""Ranked lists on disk, for pictures and for people: `rankings.npz`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vireid.core.files import replaced_file
from vireid.core.types import FeatureTable, Sample
from vireid.evaluation.evaluator import Evaluator
from vireid.retrieval.ranking import NOBODY

DEPTH = 20  # answers kept for each query


def save_rankings(
    path: Path, evaluators: Mapping[str, Evaluator], table: FeatureTable, samples: Sequence[Sample], *, k: int = DEPTH
) -> None:
    """Write the first k answers of every query in the first trial of each protocol.

    Arrays of protocol NAME, all readable without pickle: `NAME/query_path`, `NAME/query_id`, `NAME/query_camera` (Q,);
    `NAME/gallery_path`, `NAME/gallery_id`, `NAME/gallery_camera` (G,), only images that answer somewhere;
    `NAME/order` (Q, k) rows of those, best first, -1 where fewer than k are counted; `NAME/score` (Q, k) larger is
    closer. Row i of the table is samples[i].
    """
    paths = np.array([str(sample.path) for sample in samples])
    arrays: dict[str, np.ndarray] = {}
    for name, evaluator in evaluators.items():
        lists = evaluator.ranking(table, trial=0, k=k)
        order = lists.ranking.ids
        rows = np.unique(order[order != NOBODY])
        sides = {"query": lists.queries, "gallery": rows}
        for side, of_side in sides.items():
            arrays[f"{name}/{side}_path"] = paths[of_side]
            arrays[f"{name}/{side}_id"] = table.labels[of_side]
            arrays[f"{name}/{side}_camera"] = table.cameras[of_side]
        arrays[f"{name}/order"] = np.where(order == NOBODY, NOBODY, np.searchsorted(rows, order))
        arrays[f"{name}/score"] = lists.ranking.scores
    with replaced_file(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
