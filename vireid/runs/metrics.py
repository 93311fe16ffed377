"""`metrics.json`: the reports of a run by protocol, the machine, and digests of what they were computed from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vireid.core.errors import DataError
from vireid.core.io import write_json
from vireid.evaluation.report import Report
from vireid.runs.folder import command_hint
from vireid.runs.schema import KEY, SCHEMA, damaged, require_readable


@dataclass(frozen=True)
class Metrics:
    """Content of `metrics.json`.

    Attributes:
        reports: Protocol -> report.
        environment: Device, precision, versions.
        inputs: `RunInputs.to_json` of the evaluation, with those of the training under "trained_on"; None if an older
            version did not record them.
    """

    reports: Mapping[str, Report]
    environment: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] | None = None

    def write(self, path: Path) -> None:
        """Write the file atomically."""
        content = {
            KEY: SCHEMA,
            "results": {name: report.to_json() for name, report in self.reports.items()},
            "environment": dict(self.environment),
        }
        write_json(path, content if self.inputs is None else {**content, "inputs": dict(self.inputs)})

    @classmethod
    def read(cls, path: Path) -> Metrics:
        """Read a file of this or an older version.

        Raises:
            DataError: If the file is missing, damaged, or of a newer schema.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict):
                require_readable(content.get(KEY), path)
            reports = {name: Report.from_json(report) for name, report in content["results"].items()}
            inputs = content.get("inputs")
            return cls(reports, dict(content.get("environment", {})), None if inputs is None else dict(inputs))
        except DataError:
            raise
        except FileNotFoundError as error:
            raise DataError(f"{path}: does not exist.\n    {command_hint(path.parent, '--eval-only')}") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged(path, "the results of a run", error) from error
