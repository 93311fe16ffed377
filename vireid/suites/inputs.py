"""What the runs of a suite were made from, held against what they would be made from now."""

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
from vireid.engine.checkpoint import META, stored_inputs
from vireid.runs.inputs import RunInputs, input_changes
from vireid.suites.plan import Run

UNRECORDED = "inputs not recorded (a run of an older version): changes of the data since then cannot be noticed"
NOT_COMPARED = "inputs not compared: the dataset cannot be listed on this machine"


class CurrentInputs:
    """The inputs that each run would have now; every dataset is listed once, every file read once."""

    def __init__(self) -> None:
        self._listings: dict[str, tuple[list[Sample], list[Sample]] | None] = {}
        self._known: dict[str, RunInputs | None] = {}

    def of(self, run: Run) -> RunInputs | None:
        """None where the dataset cannot be listed on this machine."""
        key = json.dumps(
            [run.checked.config.DATA, list(run.checked.config.IMPORTS), *_paths(run)], sort_keys=True, default=str
        )
        if key not in self._known:
            listings = self._listing(run)
            self._known[key] = None if listings is None else sources.run_inputs(run.checked, *listings)
        return self._known[key]

    def _listing(self, run: Run) -> tuple[list[Sample], list[Sample]] | None:
        key = json.dumps([run.checked.config.DATA, plugin_digests(run.checked.config)], sort_keys=True, default=str)
        if key not in self._listings:
            dataset = Build(run.checked).dataset()
            try:
                require_listing(dataset)
                self._listings[key] = list(dataset.train()), list(dataset.test())
            except DataError:
                self._listings[key] = None  # training, if there is to be any, says what is wrong
        return self._listings[key]


def _paths(run: Run) -> list[tuple[str, str]]:
    return [(key, value) for key, value, mark in sources.path_values(run.checked) if mark.content]


def recorded(folder: Path) -> dict[str, Any] | None:
    """The inputs of a finished run: those of its evaluation, and of its training under "trained_on".

    Of an unfinished run only those of its training. None where nothing is recorded.
    """
    metrics = folder / "metrics.json"
    try:
        content = json.loads(metrics.read_text(encoding="utf-8"))
        return dict(content["inputs"]) if "inputs" in content else None
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    for checkpoint in sorted((folder / "checkpoints").glob("epoch_*"), reverse=True):
        if (checkpoint / META).is_file() and (inputs := stored_inputs(checkpoint)) is not None:
            return {"trained_on": inputs}
    return None


def training_changes(run: Run, inputs: Mapping[str, Any], now: RunInputs) -> list[str]:
    """What changed since a run was trained, so that it must be trained again."""
    trained_on = inputs.get("trained_on") or {}
    found = now.training_changes(trained_on, compared=lambda key: not explain.may_change(key))
    return found + (now.test_changes(trained_on) if run.checked.config.SELECT == "test" else [])


def training_digest(run: Run, now: RunInputs) -> str:
    """SHA-256 of everything that `training_changes` compares."""
    inputs = now.to_json()
    if run.checked.config.SELECT != "test":
        del inputs["test"]
    inputs["files"] = {key: value for key, value in inputs["files"].items() if not explain.may_change(key)}
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def remark(inputs: Mapping[str, Any] | None, now: RunInputs | None) -> str:
    """What is not known of a finished run's inputs; "" where they are those of now."""
    if inputs is None or not inputs.get("trained_on"):
        return UNRECORDED
    return NOT_COMPARED if now is None else ""


def evaluation_changes(inputs: Mapping[str, Any], now: RunInputs) -> list[str]:
    """What changed since a run was evaluated, so that it must be evaluated again."""
    evaluated = {key: value for key, value in inputs.items() if key in ("test", "plugins", "files")}
    return input_changes(evaluated, now.to_json())
