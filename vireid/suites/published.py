"""Published numbers beside the rows of a suite (REPORTED)."""

from __future__ import annotations

from collections.abc import Mapping

from vireid.core.errors import ConfigError, nearest
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
    missing = [key for key in suite.reported.values() if key not in rows]
    if missing:
        raise ConfigError(
            [f"{suite.file.name}: REPORTED: {FILE} has no row {key!r}{nearest(key, rows)}" for key in missing]
        )
    return {name: rows[key].scores for name, key in suite.reported.items()}
