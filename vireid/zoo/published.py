"""Published numbers: rows of `benchmarks/suites/reported.yml` by key.

    table3:
      source: PAENet, ACM MM 2022, table 3
      data: SYSU-MM01
      rows:
        baseline: {all/rank1: 66.75, all/mAP: 62.25}

The key of a row is `table3/baseline`; scores are percent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vireid.config.yaml import parse
from vireid.core.errors import ConfigError, Problem

FILE = "reported.yml"


@dataclass(frozen=True)
class Published:
    """One published row."""

    source: str
    data: str
    scores: Mapping[str, float]  # "protocol/metric" -> percent


def read_published(file: Path) -> dict[str, Published]:
    """Read all rows of the file by key.

    Raises:
        ConfigError: With all problems of the file.
    """
    parsed = parse(file.read_text(encoding="utf-8"))
    problems = [Problem(text, place=f"{file.name}:{line}") for line, text in parsed.problems]
    rows: dict[str, Published] = {}
    for table, content in (parsed.value or {}).items():
        if not isinstance(content, dict) or not {"source", "data", "rows"} <= set(content):
            problems.append(Problem("must have the keys source, data and rows", place=file.name, key=table))
            continue
        for name, scores in content["rows"].items():
            if not _numbers(scores):
                problems.append(Problem("is not a map of percentages", place=file.name, key=f"{table}/{name}"))
                continue
            rows[f"{table}/{name}"] = Published(str(content["source"]), str(content["data"]), scores)
    if problems:
        raise ConfigError(problems)
    return rows


def _numbers(scores: Any) -> bool:
    return isinstance(scores, dict) and all(isinstance(v, (int, float)) and 0 <= v <= 100 for v in scores.values())
