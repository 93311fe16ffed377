"""Which images ask, which answer and which answers are not counted: row numbers of a table, never images."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from vireid.core.errors import DataError, UserError
from vireid.core.registries import PROTOCOLS
from vireid.core.types import FeatureTable, Trial
from vireid.evaluation.rules import RULES

SYSU_QUERY = (3, 6)
SYSU_GALLERY: Mapping[str, tuple[int, ...]] = {"all": (1, 2, 4, 5), "indoor": (1, 2)}


@PROTOCOLS.register
class SysuProtocol:
    """SYSU-MM01: every infrared test image asks, a few drawn visible images of each identity and camera answer.

    `mode`: "all" draws from cameras 1, 2, 4 and 5, "indoor" from 1 and 2; the queries (cameras 3 and 6) are the same.
    `shots`: images drawn from each (identity, camera) that has any. `trials`: draws, with the seeds 0, 1, ...
    `draw`: "seeded" is the rule of AGW's release and the codes that follow it: Python's Mersenne twister seeded with
    the trial's number; identities ascending, cameras within, images by name; one `choice`, or one `sample` (MCE's
    release) for several shots. Equal bit for bit to their `random.seed(trial)`; the global generator is not touched.
    An indoor gallery is not a part of the all-search gallery of the same trial.
    Rows of the table: those of one (identity, camera) must be in the order of their file names.
    Errors: `DataError` without query or gallery rows, or where a camera has fewer images of an identity than `shots`.
    """

    def __init__(
        self,
        *,
        mode: Literal["all", "indoor"] = "all",
        shots: int = 1,
        trials: int = 10,
        draw: Literal["seeded"] = "seeded",
    ) -> None:
        if mode not in SYSU_GALLERY:
            raise UserError(f"mode must be one of {tuple(SYSU_GALLERY)}, got {mode!r}")
        if draw != "seeded":
            raise UserError(f"draw must be 'seeded', got {draw!r}")
        if shots < 1 or trials < 1:
            raise UserError(f"shots and trials must be at least 1, got {shots} and {trials}")
        self.mode, self.shots, self.number, self.draw = mode, shots, trials, draw
        self.rule = RULES["sysu"]
        self.metric = self.rule.cmc

    @property
    def conditions(self) -> dict[str, str | int]:
        return {
            "protocol": "SYSU-MM01",
            "direction": "infrared to visible",
            "mode": self.mode,
            "shots": self.shots,
            "trials": self.number,
            "draw": self.draw,
        }

    def query_rows(self, table: FeatureTable) -> np.ndarray:
        """(Q,) rows that ask in any trial, by identity, camera and name."""
        return np.concatenate(self._rows(table, SYSU_QUERY, "query"))

    def gallery_rows(self, table: FeatureTable) -> np.ndarray:
        """(G,) rows that answer in any trial, ascending."""
        return np.unique(np.concatenate([trial.gallery for trial in self.trials(table)]))

    def trials(self, table: FeatureTable) -> Iterator[Trial]:
        query = self.query_rows(table)
        folders = self._rows(table, SYSU_GALLERY[self.mode], "gallery")
        for rows in folders:
            if len(rows) < self.shots:
                raise DataError(
                    f"{self.shots} shots of identity {table.labels[rows[0]]} in camera {table.cameras[rows[0]]}"
                    f" were asked for, but there are only {len(rows)} images"
                )

        def junk(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
            assert self.rule.junk is not None
            return self.rule.junk(
                table.labels[query], table.cameras[query], table.labels[gallery], table.cameras[gallery]
            )

        for number in range(self.number):
            generator = random.Random(number)
            drawn = [generator.sample(rows.tolist(), self.shots) for rows in folders]  # of one: the same draw as choice
            yield Trial(f"trial {number}", query, np.concatenate(drawn).astype(np.int64), junk)

    def _rows(self, table: FeatureTable, cameras: Sequence[int], role: str) -> list[np.ndarray]:
        """Rows of each (identity, camera) that has any; identities ascending, cameras within."""
        rows = np.flatnonzero(np.isin(table.cameras, cameras))
        if len(rows) == 0:
            raise DataError(
                f"SysuProtocol found no {role} images:"
                f" none of the {len(table)} test images is of the cameras {tuple(cameras)}"
            )
        rows = rows[np.lexsort((table.cameras[rows], table.labels[rows]))]
        borders = np.flatnonzero(np.diff(table.labels[rows]) | np.diff(table.cameras[rows])) + 1
        return np.split(rows, borders)
