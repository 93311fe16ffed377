"""Arrays of an evaluation on disk: ranked lists, scores of each query, embeddings. Each has a write and a read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vireid.core.arrays import l2_normalized_rows
from vireid.core.errors import DataError, UserError
from vireid.core.types import EmbeddingTable, Sample
from vireid.evaluation.evaluator import Evaluator
from vireid.evaluation.report import Report
from vireid.retrieval.ranking import NO_IMAGE
from vireid.runs.folder import RunFolder
from vireid.runs.schema import damaged, read_arrays, write_arrays

DEPTH = 20  # length of the saved ranked lists
LISTING = "listing"  # entry of queries.npz that belongs to no protocol
LISTS = (
    "query_path",
    "query_id",
    "query_camera",
    "gallery_path",
    "gallery_id",
    "gallery_camera",
    "order",
    "score",
)  # arrays of each protocol in rankings.npz, attributes of `Lists`
QUERY_COLUMNS = {  # array of each protocol in queries.npz -> attribute of QueryScores and type on disk
    "counted": ("counted", bool),
    "first": ("first", np.int32),
    "average_precision": ("average_precision", np.float32),
    "inverse_penalty": ("inverse_negative_penalty", np.float32),
}


@dataclass(frozen=True)
class Lists:
    """Ranked lists of the first trial of one protocol."""

    name: str
    query_path: np.ndarray  # (Q,) str
    query_id: np.ndarray
    query_camera: np.ndarray
    gallery_path: np.ndarray  # (G,) str; the gallery images that are in some list
    gallery_id: np.ndarray
    gallery_camera: np.ndarray
    order: np.ndarray  # (Q, K) rows of the gallery, best first; NO_IMAGE where fewer are counted
    score: np.ndarray  # (Q, K) larger is closer
    trial: str = "first trial"
    camera_names: Mapping[int, str] = field(default_factory=dict)  # number -> name, where cameras have names

    def __len__(self) -> int:
        return len(self.query_path)

    def correct(self) -> np.ndarray:
        """Return (Q, K) bool: the gallery image has the identity of the query."""
        return (self.gallery_id[self.order.clip(min=0)] == self.query_id[:, None]) & (self.order != NO_IMAGE)

    def answerable(self) -> np.ndarray:
        """Return (Q,) bool: False if no saved list holds the identity, or a complete list has no correct image.

        Protocols skip queries without a correct gallery image. The whole gallery is not saved, so this is an
        approximation.
        """
        cut = (self.order != NO_IMAGE).all(axis=1)
        return np.isin(self.query_id, self.gallery_id) & (self.correct().any(axis=1) | cut)


def save_rankings(
    path: Path, evaluators: Mapping[str, Evaluator], table: EmbeddingTable, samples: Sequence[Sample], *, k: int = DEPTH
) -> None:
    """Write the ranked lists of the first trial of each protocol.

    Protocol NAME has the arrays `NAME/query_path`, ..., `NAME/score`, see `Lists`; where cameras have names, also
    `NAME/camera_number` and `NAME/camera_name` (C,).

    Args:
        path: The file.
        evaluators: Evaluator of each protocol.
        table: Embeddings of the test images.
        samples: The test images, in the order of the table.
        k: Length of the lists.
    """
    paths = np.array([str(sample.path) for sample in samples])
    arrays: dict[str, np.ndarray] = {}
    for name, evaluator in evaluators.items():
        lists = evaluator.ranking(table, trial=0, k=k)
        order = lists.ranking.ids
        rows = np.unique(order[order != NO_IMAGE])
        for side, side_rows in {"query": lists.queries, "gallery": rows}.items():
            arrays[f"{name}/{side}_path"] = paths[side_rows]
            arrays[f"{name}/{side}_id"] = table.labels[side_rows]
            arrays[f"{name}/{side}_camera"] = table.cameras[side_rows]
        arrays[f"{name}/order"] = np.where(order == NO_IMAGE, NO_IMAGE, np.searchsorted(rows, order))
        arrays[f"{name}/score"] = lists.ranking.scores
        if table.camera_names:
            arrays[f"{name}/camera_number"] = np.array(list(table.camera_names), np.int64)
            arrays[f"{name}/camera_name"] = np.array(list(table.camera_names.values()))
    write_arrays(path, arrays)


def read_rankings(path: Path) -> list[Lists]:
    """Read the ranked lists of all protocols.

    Raises:
        DataError: If the file is damaged or its arrays contradict each other.
    """
    arrays = read_arrays(path)
    try:
        return [_lists(name, arrays) for name in _protocols(arrays)]
    except (KeyError, ValueError) as error:
        raise damaged(path, "the ranked lists of a run", error) from error


def _protocols(arrays: Mapping[str, np.ndarray]) -> list[str]:
    return list(dict.fromkeys(key.rpartition("/")[0] for key in arrays if key != LISTING))


def _lists(name: str, arrays: Mapping[str, np.ndarray]) -> Lists:
    values = {key: arrays[f"{name}/{key}"] for key in LISTS}
    queries, gallery = len(values["query_path"]), len(values["gallery_path"])
    for key in LISTS:
        length = gallery if key.startswith("gallery") else queries
        if len(values[key]) != length:
            raise ValueError(f"{name}/{key} has {len(values[key])} rows instead of {length}")
    order = values["order"]
    if order.ndim != 2 or order.shape != values["score"].shape:
        raise ValueError(f"{name}/order and {name}/score are not both (queries, ranks)")
    if order.size and not NO_IMAGE <= order.min() <= order.max() < gallery:
        raise ValueError(f"{name}/order has rows outside the gallery of {gallery}")
    numbers, words = (arrays.get(f"{name}/camera_{key}", np.array([])) for key in ("number", "name"))
    cameras = {int(number): str(word) for number, word in zip(numbers, words)}
    return Lists(name, **values, trial=str(arrays.get(f"{name}/trial", Lists.trial)), camera_names=cameras)


@dataclass(frozen=True)
class QueryTable:
    """Scores of each query in each trial of one protocol, to compare two runs query by query."""

    row: np.ndarray  # (Q,) row of the test set
    identity: np.ndarray  # (Q,)
    counted: np.ndarray  # (T, Q) bool; False if the image is not a query of the trial or has no correct image
    first: np.ndarray  # (T, Q) int32, rank of the first correct image
    average_precision: np.ndarray  # (T, Q) float32
    inverse_negative_penalty: np.ndarray  # (T, Q) float32


@dataclass(frozen=True)
class SavedQueries:
    """Content of `queries.npz`.

    Attributes:
        tables: Protocol -> scores.
        listing: Digest of the test listing; "" in files of older versions. Rows of two files are the same images if
            their digests are equal.
    """

    tables: Mapping[str, QueryTable]
    listing: str = ""


def save_queries(path: Path, reports: Mapping[str, Report], table: EmbeddingTable, *, listing: str = "") -> None:
    """Write the scores of each query in each trial.

    Protocol NAME has the arrays `NAME/row`, `NAME/id`, `NAME/camera` (Q,) and those of `QUERY_COLUMNS` (T, Q).

    Args:
        path: The file.
        reports: Report of each protocol, with its `queries`.
        table: Embeddings of the test images.
        listing: Digest of the test listing.
    """
    arrays: dict[str, np.ndarray] = {LISTING: np.array(listing)} if listing else {}
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
    write_arrays(path, arrays)


def read_queries(path: Path) -> SavedQueries:
    """Read the scores of each query.

    Raises:
        DataError: If the file is damaged or an array is missing.
    """
    arrays = read_arrays(path)
    try:
        tables = {
            name: QueryTable(
                row=arrays[f"{name}/row"],
                identity=arrays[f"{name}/id"],
                **{attribute: arrays[f"{name}/{key}"] for key, (attribute, _) in QUERY_COLUMNS.items()},
            )
            for name in _protocols(arrays)
        }
    except KeyError as error:
        raise damaged(path, "the scores of the queries of a run", error) from error
    return SavedQueries(tables, str(arrays.get(LISTING, "")))


@dataclass(frozen=True)
class SavedEmbeddings:
    """Content of `features.npz`."""

    features: np.ndarray  # (N, D) float32, L2-normalized
    labels: np.ndarray  # (N,)
    cameras: np.ndarray  # (N,)
    modality: np.ndarray  # (N,)
    paths: np.ndarray  # (N,) str


def save_features(path: Path, table: EmbeddingTable) -> None:
    """Write the embeddings of all test images as float16, with labels, cameras, modality and paths."""
    columns = {
        "features": table.embeddings.astype(np.float16),
        "labels": table.labels,
        "cameras": table.cameras,
        "modality": table.modality,
        "paths": np.array([str(sample.path) for sample in table.samples or ()]),
    }
    write_arrays(path, columns, compress=False)


def read_embeddings(run: Path) -> SavedEmbeddings:
    """Read the saved embeddings of a run folder, L2-normalized.

    Raises:
        UserError: If `features.npz` does not exist.
        DataError: If the file is damaged.
    """
    folder = RunFolder(run)
    if not folder.features.exists():
        raise UserError(
            f"{folder.features} does not exist; write it with: tools/train_net.py --config-file {folder.config}"
            f" --eval-only SAVE_FEATURES true OUTPUT_DIR {run}"
        )
    arrays = read_arrays(folder.features, flags="--eval-only")
    try:
        columns = {name: arrays[name] for name in ("labels", "cameras", "modality", "paths")}
        features = arrays["features"].astype(np.float32)
    except KeyError as error:
        raise damaged(folder.features, "the embeddings of a run", error) from error
    if any(len(column) not in (0, len(features)) for column in columns.values()):
        raise DataError(
            f"{folder.features}: its columns have different lengths; evaluate the run again with --eval-only"
        )
    return SavedEmbeddings(l2_normalized_rows(f"{folder.features}: features", features), **columns)
