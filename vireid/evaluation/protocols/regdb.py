"""Evaluation protocol of RegDB: all test images of one modality against all of the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vireid.core.registries import PROTOCOLS
from vireid.core.types import EmbeddingTable, Trial
from vireid.evaluation.junk import RULES
from vireid.evaluation.protocols.selection import Direction, junk_of, rows_of, sides_of, words


@PROTOCOLS.register
class RegDBProtocol:
    """RegDB: all test images of one modality are queries, all of the other the gallery. Nothing is drawn or ignored.

    CMC is over images. One model has one number; the published ones are means over ten splits with one model each
    (`RegDB(trial=1..10)`, tools/aggregate_trials.py).

    Args:
        direction: "visible_to_infrared" (the usual one) or "infrared_to_visible"; infrared is thermal in RegDB.

    Raises:
        DataError: If there are no query or no gallery rows.
    """

    def __init__(self, *, direction: Direction = "visible_to_infrared") -> None:
        self.query, self.gallery = sides_of(direction)
        self.direction, self.rule = direction, RULES["regdb"]
        self.metric = self.rule.cmc

    @property
    def conditions(self) -> dict[str, str | int]:
        return {
            "protocol": "RegDB",
            "direction": words(self.direction),
            "mode": "all images",
            "shots": "all",
            "trials": 1,
            "draw": "none",
        }

    def query_rows(self, table: EmbeddingTable) -> np.ndarray:
        """Return the query rows (Q,), in the order of the table."""
        return rows_of(table, protocol="RegDBProtocol", role="query", modality=self.query)

    def gallery_rows(self, table: EmbeddingTable) -> np.ndarray:
        """Return the gallery rows (G,), in the order of the table."""
        return rows_of(table, protocol="RegDBProtocol", role="gallery", modality=self.gallery)

    def trials(self, table: EmbeddingTable) -> Iterator[Trial]:
        yield Trial("all images", self.query_rows(table), self.gallery_rows(table), junk_of(self.rule.junk, table))
