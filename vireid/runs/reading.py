"""What a run folder holds, read back into plain values. The only place here that knows the files' formats."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vireid.core.errors import DataError, UserError

NOT_TERMS = frozenset({"event", "epoch", "step", "lr", "images_per_second", "waiting"})  # of an "epoch" record
NO_IMAGE = -1  # in `Lists.order`: fewer answers than places
UNSTATED = "not stated"
ARRAYS = (
    "query_path",
    "query_id",
    "query_camera",
    "gallery_path",
    "gallery_id",
    "gallery_camera",
    "order",
    "score",
)  # of each protocol in rankings.npz


@dataclass(frozen=True)
class Epochs:
    """The means of each finished epoch, oldest first."""

    epoch: Sequence[int] = ()
    lr: Sequence[float] = ()
    terms: Mapping[str, Sequence[float]] = field(default_factory=dict)  # NaN where an epoch did not log the term
    images_per_second: float | None = None  # mean over the epochs
    waiting: float | None = None  # share of the time spent waiting for data, mean over the epochs


@dataclass(frozen=True)
class Measured:
    """One line of an evaluation during training."""

    epoch: int
    protocol: str
    values: Mapping[str, float]  # rank1, mAP, mINP in [0, 1]


@dataclass(frozen=True)
class Result:
    """One protocol of metrics.json; all scores in [0, 1]."""

    name: str
    conditions: Mapping[str, Any]
    mean: Mapping[str, float]  # rank1, rank5, ..., mAP, mINP
    spread: Mapping[str, float | None]  # sample standard deviation over the trials; None where there is one trial
    cmc: Sequence[float]  # entry k - 1 is rank k, mean over the trials
    trials: Sequence[Mapping[str, Any]] = ()
    chance: float | None = None  # rank-1 of a gallery in random order, where the evaluation worked it out

    def condition(self, name: str) -> str:
        return str(self.conditions.get(name, UNSTATED))

    @property
    def oracle(self) -> bool:
        """Did the test images' attributes come from the labels of their identities?"""
        return self.condition("attribute_source") == "labels"


@dataclass(frozen=True)
class Lists:
    """The answers of the first trial of one protocol."""

    name: str
    query_path: np.ndarray  # (Q,) str
    query_id: np.ndarray
    query_camera: np.ndarray
    gallery_path: np.ndarray  # (G,) str; the gallery images that answer somewhere
    gallery_id: np.ndarray
    gallery_camera: np.ndarray
    order: np.ndarray  # (Q, K) rows of the gallery, best first; NO_IMAGE where fewer are counted
    score: np.ndarray  # (Q, K) larger is closer
    trial: str = "first trial"
    camera_names: Mapping[int, str] = field(default_factory=dict)  # number -> name, where cameras have names

    def __len__(self) -> int:
        return len(self.query_path)

    def correct(self) -> np.ndarray:
        """(Q, K) bool: the answer shows the person who was asked for."""
        return (self.gallery_id[self.order.clip(min=0)] == self.query_id[:, None]) & (self.order != NO_IMAGE)

    def answerable(self) -> np.ndarray:
        """(Q,) bool: False where the person is in no saved list, or a list that was not cut has no right answer.

        Protocols do not count queries without a right image in the gallery; the whole gallery is not saved, so this is
        the nearest that can be known.
        """
        cut = (self.order != NO_IMAGE).all(axis=1)
        return np.isin(self.query_id, self.gallery_id) & (self.correct().any(axis=1) | cut)


@dataclass(frozen=True)
class Run:
    """Everything that a page can be made of. An empty part has its reason in `notes`."""

    folder: Path
    epochs: Epochs = Epochs()
    evaluations: Sequence[Measured] = ()
    results: Sequence[Result] = ()
    lists: Sequence[Lists] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""
    notes: Sequence[str] = ()  # what is missing and how to make it

    @property
    def name(self) -> str:
        return self.folder.absolute().name  # a link to a run has the better name

    def modalities(self, protocol: str) -> tuple[str, str]:
        """What queries and gallery are, from the result's direction: ("infrared", "visible").

        >>> Run(Path("x"), results=[Result("all", {"direction": "infrared to visible"}, {}, {}, ())]).modalities("all")
        ('infrared', 'visible')
        """
        direction = next((result.condition("direction") for result in self.results if result.name == protocol), "")
        query, to, gallery = direction.partition(" to ")
        return (query, gallery) if to else ("query", "gallery")


def read_run(folder: Path | str) -> Run:
    """Read `log.jsonl`, `metrics.json`, `rankings.npz` and `config.yml` of a run.

    A run that was trained but not evaluated gives curves and a note.
    Errors: UserError where the folder or both log and metrics are missing; DataError where a file is damaged. Both name
    the file and the command that makes it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"--run {folder}: there is no such folder.\n    {_make(folder)}")
    notes: list[str] = []
    epochs, evaluations = _read_log(folder / "log.jsonl", notes)
    results, environment = _read_metrics(folder, notes)
    if not epochs.epoch and not results:
        missing = [name for name in ("log.jsonl", "metrics.json") if not (folder / name).exists()]
        fault = f"{' and '.join(missing)} missing" if missing else "log.jsonl has no finished epoch"
        raise UserError(f"--run {folder}: nothing to show, {fault}.\n    {_make(folder)}")
    if not epochs.epoch:
        notes.append("log.jsonl holds no finished epoch, so there are no loss curves: this run was only evaluated.")
    lists = _read_rankings(folder, notes)
    config = folder / "config.yml"
    text = config.read_text(encoding="utf-8", errors="replace") if config.exists() else ""
    if not text:
        notes.append("config.yml is missing, so the settings of this run are not shown.")
    return Run(folder, epochs, evaluations, results, lists, environment, text, notes)


def _make(folder: Path, flag: str = "") -> str:
    """The sentence that ends an error: the command that makes what is missing.

    >>> _make(Path("runs/none"), "--eval-only")
    'Make it with: tools/train_net.py --config-file configs/sysu/mmd.yml --eval-only OUTPUT_DIR runs/none'
    """
    own = folder / "config.yml"
    config = str(own) if own.exists() else "configs/sysu/mmd.yml"
    flags = flag or ("--resume" if own.exists() else "")
    return f"Make it with: tools/train_net.py --config-file {config} {flags + ' ' if flags else ''}OUTPUT_DIR {folder}"


# -- log.jsonl ------------------------------------------------------------------------------------------------------


def _read_log(path: Path, notes: list[str]) -> tuple[Epochs, list[Measured]]:
    if not path.exists():
        return Epochs(), []
    records, broken = [], 0
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            record = None
        if isinstance(record, dict):
            records.append(record)
        else:
            broken += bool(line.strip())
    if broken:
        notes.append(f"{broken} of the {len(lines)} lines of log.jsonl cannot be read and are left out.")
    return _epochs([record for record in records if record.get("event") == "epoch"]), _evaluations(records)


def _epochs(records: Sequence[Mapping[str, Any]]) -> Epochs:
    rows = sorted({int(record["epoch"]): record for record in records if "epoch" in record}.items())
    names = dict.fromkeys(
        key for _, row in rows for key, value in row.items() if key not in NOT_TERMS and _number(value)
    )
    ordered = [*(name for name in names if name != "loss"), *(name for name in names if name == "loss")]
    return Epochs(
        [epoch for epoch, _ in rows],
        [_float(row.get("lr")) for _, row in rows],
        {name: [_float(row.get(name)) for _, row in rows] for name in ordered},
        _mean([row.get("images_per_second") for _, row in rows]),
        _mean([row.get("waiting") for _, row in rows]),
    )


def _evaluations(records: Sequence[Mapping[str, Any]]) -> list[Measured]:
    return [
        Measured(
            int(record["epoch"]),
            str(record.get("protocol", "")),
            {name: float(record[name]) for name in ("rank1", "mAP", "mINP") if _number(record.get(name))},
        )
        for record in records
        if record.get("event") == "evaluation" and "epoch" in record
    ]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _float(value: Any) -> float:
    return float(value) if _number(value) else math.nan


def _mean(values: Sequence[Any]) -> float | None:
    known = [float(value) for value in values if _number(value)]
    return sum(known) / len(known) if known else None


# -- metrics.json ---------------------------------------------------------------------------------------------------


def _read_metrics(folder: Path, notes: list[str]) -> tuple[list[Result], Mapping[str, Any]]:
    path = folder / "metrics.json"
    if not path.exists():
        notes.append(f"metrics.json is missing: the run has not been evaluated. {_make(folder, '--eval-only')}")
        return [], {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        results = [_result(name, report) for name, report in content["results"].items()]
        return results, dict(content.get("environment", {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not the results of a run ({_reason(error)}).\n    {_make(folder, '--eval-only')}"
        ) from error


def _result(name: str, report: Mapping[str, Any]) -> Result:
    """From `evaluation.report.Report.to_json()`."""
    return Result(
        name=name,
        conditions=dict(report["conditions"]),
        mean={key: float(value) for key, value in report["mean"].items()},
        spread=dict(report["spread"]),
        cmc=[float(value) for value in report["cmc"]],
        trials=list(report.get("trials", ())),
        chance=float(report["chance"]["rank1"]) if report.get("chance") else None,
    )


# -- rankings.npz ---------------------------------------------------------------------------------------------------


def _read_rankings(folder: Path, notes: list[str]) -> list[Lists]:
    path = folder / "rankings.npz"
    if not path.exists():
        notes.append(f"rankings.npz is missing: no test identities, no ranked lists. {_make(folder, '--eval-only')}")
        return []
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read ({_reason(error)}).\n    {_make(folder, '--eval-only')}") from error
    names = dict.fromkeys(key.rpartition("/")[0] for key in arrays)
    try:
        return [_lists(name, arrays) for name in names]
    except (KeyError, ValueError) as error:
        raise DataError(
            f"{path}: not the ranked lists of a run ({_reason(error)}).\n    {_make(folder, '--eval-only')}"
        ) from error


def _lists(name: str, arrays: Mapping[str, np.ndarray]) -> Lists:
    values = {key: arrays[f"{name}/{key}"] for key in ARRAYS}
    queries, gallery = len(values["query_path"]), len(values["gallery_path"])
    for key in ARRAYS:
        length = gallery if key.startswith("gallery") else queries
        if len(values[key]) != length:
            raise ValueError(f"{name}/{key} has {len(values[key])} rows instead of {length}")
    order = values["order"]
    if order.ndim != 2 or order.shape != values["score"].shape:
        raise ValueError(f"{name}/order and {name}/score are not both (queries, places)")
    if order.size and not NO_IMAGE <= order.min() <= order.max() < gallery:
        raise ValueError(f"{name}/order names images outside the gallery of {gallery}")
    numbers, words = (arrays.get(f"{name}/camera_{key}", np.array([])) for key in ("number", "name"))
    cameras = {int(number): str(word) for number, word in zip(numbers, words)}
    return Lists(name, **values, trial=str(arrays.get(f"{name}/trial", Lists.trial)), camera_names=cameras)


def _reason(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
