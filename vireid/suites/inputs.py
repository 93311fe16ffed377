"""Inputs of the runs of a suite: what is recorded in a run folder, compared with the current files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vireid.config import show as explain
from vireid.config import sources
from vireid.config.build import Build
from vireid.config.imports import plugin_digests
from vireid.core.errors import DataError
from vireid.core.types import Sample
from vireid.data.listing import require_listing
from vireid.engine.weights_origin import META, stored_inputs
from vireid.runs.folder import RunFolder
from vireid.runs.inputs import RunInputs, input_changes
from vireid.runs.metrics import Metrics
from vireid.suites.plan import Evaluation, Run

UNRECORDED = "inputs not recorded (a run of an older version): changes of the data since then cannot be noticed"
NOT_COMPARED = "inputs not compared: the dataset cannot be listed on this machine"


class CurrentInputs:
    """Inputs that each run would read now. Each dataset is listed once, each file is read once."""

    def __init__(self) -> None:
        self._listings: dict[str, tuple[list[Sample], list[Sample]] | None] = {}
        self._known: dict[str, RunInputs | None] = {}

    def of(self, run: Run | Evaluation) -> RunInputs | None:
        """Return the current inputs of a run or an evaluation; None if the dataset cannot be listed on this machine."""
        key = json.dumps(
            [run.checked.config.DATA, list(run.checked.config.IMPORTS), *_paths(run)], sort_keys=True, default=str
        )
        if key not in self._known:
            listings = self._listing(run)
            self._known[key] = None if listings is None else sources.run_inputs(run.checked, *listings)
        return self._known[key]

    def _listing(self, run: Run | Evaluation) -> tuple[list[Sample], list[Sample]] | None:
        key = json.dumps([run.checked.config.DATA, plugin_digests(run.checked.config)], sort_keys=True, default=str)
        if key not in self._listings:
            dataset = Build(run.checked).dataset()
            try:
                require_listing(dataset)
                self._listings[key] = list(dataset.train()), list(dataset.test())
            except DataError:
                self._listings[key] = None  # training reports what is wrong
        return self._listings[key]


def _paths(run: Run | Evaluation) -> list[tuple[str, str]]:
    return [(key, value) for key, value, mark in sources.path_values(run.checked) if mark.content]


def recorded(folder: Path) -> dict[str, Any] | None:
    """Return the recorded inputs of a run: those of its evaluation, and those of its training under "trained_on".

    An unfinished run has only those of its training. None if nothing is recorded or the file is damaged.
    """
    files = RunFolder(folder)
    if files.evaluated:
        try:
            inputs = Metrics.read(files.metrics).inputs
        except DataError:
            return None
        return None if inputs is None else dict(inputs)
    for checkpoint in sorted(files.checkpoints.glob("epoch_*"), reverse=True):
        if (checkpoint / META).is_file() and (inputs := stored_inputs(checkpoint)) is not None:
            return {"trained_on": inputs}
    return None


def training_changes(run: Run, inputs: Mapping[str, Any], now: RunInputs) -> list[str]:
    """Return what changed since a run was trained, one sentence for each change that requires a new training."""
    trained_on = inputs.get("trained_on") or {}
    changes = now.training_changes(trained_on, compared=lambda key: not explain.may_change(key))
    return changes + (now.test_changes(trained_on) if run.checked.config.SELECT == "test" else [])


def training_digest(run: Run, now: RunInputs) -> str:
    """Compute the SHA-256 of everything that `training_changes` compares."""
    inputs = now.to_json()
    if run.checked.config.SELECT != "test":
        del inputs["test"]
    inputs["files"] = {key: value for key, value in inputs["files"].items() if not explain.may_change(key)}
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def remark(inputs: Mapping[str, Any] | None, now: RunInputs | None) -> str:
    """Return what is unknown about the inputs of a finished run; "" if they are the current ones."""
    if inputs is None or not inputs.get("trained_on"):
        return UNRECORDED
    return NOT_COMPARED if now is None else ""


def evaluation_changes(inputs: Mapping[str, Any], now: RunInputs) -> list[str]:
    """Return what changed since a run was evaluated, one sentence for each change that requires a new evaluation."""
    evaluated = {key: value for key, value in inputs.items() if key in ("test", "plugins", "files")}
    return input_changes(evaluated, now.to_json())
