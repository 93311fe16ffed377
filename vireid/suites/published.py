"""Published numbers of the rows of a suite (REPORTED)."""

from __future__ import annotations

from collections.abc import Mapping

from vireid.core.errors import ConfigError, Problem, closest
from vireid.suites.suite import Suite
from vireid.zoo.published import FILE, read_published


def published_numbers(suite: Suite) -> dict[str, Mapping[str, float]]:
    """Return the published scores, in percent, of each row that the suite names under REPORTED.

    Raises:
        ConfigError: For keys that reported.yml does not have.
    """
    if not suite.reported:
        return {}
    rows = read_published(suite.find(FILE))
    problems = [
        Problem(f"= {key!r} is not a row of {FILE}", suite.file.name, f"REPORTED.{name}", closest(key, rows))
        for name, key in suite.reported.items()
        if key not in rows
    ]
    if problems:
        raise ConfigError(problems)
    return {name: rows[key].scores for name, key in suite.reported.items()}
