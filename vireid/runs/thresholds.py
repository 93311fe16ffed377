"""`thresholds.json`: the decision rule of a run, which belongs to one checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

from vireid.core.errors import DataError
from vireid.core.io import write_json
from vireid.evaluation.open_set.decision import DecisionRule
from vireid.runs.schema import KEY, SCHEMA, require_readable


def write_thresholds(path: Path, rule: DecisionRule) -> None:
    """Write a decision rule, atomically."""
    write_json(path, {KEY: SCHEMA, **rule.to_json()})


def read_thresholds(path: Path) -> DecisionRule:
    """Read a decision rule.

    Raises:
        DataError: If the file is missing, damaged, or of a newer schema.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        require_readable(content.get(KEY), path)
        return DecisionRule.from_json(content)
    except (OSError, ValueError) as error:  # a DataError is a ValueError
        raise DataError(f"{path}: {error}; write it again with `vireid threshold {path.parent}`") from error


def thresholds_of(path: Path, fingerprint: str) -> DecisionRule | None:
    """Read the decision rule of a model; None if it does not exist, or if it belongs to another checkpoint.

    Args:
        path: `thresholds.json`; it may not exist.
        fingerprint: Fingerprint of the model.
    """
    if not path.exists():
        return None
    rule = read_thresholds(path)
    return rule if rule.fingerprint == fingerprint else None
