"""The protocol of SYSU-MM01 (protocols.md section 1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from vireid.core.errors import UserError, nearest
from vireid.core.paths import InputFile, normalized_path
from vireid.core.registries import PROTOCOLS
from vireid.core.types import FeatureTable, Trial
from vireid.evaluation.protocols.draws import seeded, unseeded
from vireid.evaluation.protocols.official import official, permutations_beside
from vireid.evaluation.protocols.selection import answering, check_counts, folders_of, junk_of, rows_of
from vireid.evaluation.rules import RULES

SYSU_QUERY = (3, 6)
SYSU_GALLERY: Mapping[str, tuple[int, ...]] = {"all": (1, 2, 4, 5), "indoor": (1, 2)}


@PROTOCOLS.register
class SysuProtocol:
    """SYSU-MM01: every infrared test image asks, a few drawn visible images of each identity and camera answer.

    `mode`: "all" draws from cameras 1, 2, 4 and 5, "indoor" from 1 and 2; the queries (cameras 3 and 6) are the same.
    `shots`: images drawn from each (identity, camera) that has any: 1 or, for multi-shot, 10. `trials`: draws.
    `draw`: by which convention; they choose different images, so numbers of two conventions are not comparable.
      "seeded", AGW's release and the codes that follow it, MCE's for several shots: `random.seed(trial)`; identities
        ascending, cameras within, images by name.
      "official", the data set's authors and MPANet: the permutations in `exp/rand_perm_cam.mat` of the data set, or in
        the file `permutations`; images by number, all of a folder that has fewer than `shots`.
      "unseeded", PAENet's release: NumPy's generator, which the release seeds nowhere. Here it starts from `seed`, and
        the conditions say so: such a number can be repeated here, but never equals the release's exactly.
    An indoor gallery is not a part of the all-search gallery of the same trial, except in the official convention.
    Rows of the table: those of one (identity, camera) must be in the order of their file names.
    Errors: `DataError` without query or gallery rows, where a camera has fewer images of an identity than `shots`, and
    for permutations that are missing or name images that are not there.
    """

    def __init__(
        self,
        *,
        mode: Literal["all", "indoor"] = "all",
        shots: int = 1,
        trials: int = 10,
        draw: Literal["seeded", "official", "unseeded"] = "seeded",
        seed: int = 0,
        permutations: InputFile | None = None,
    ) -> None:
        draws = {"seeded": self._seeded, "official": self._official, "unseeded": self._unseeded}
        if mode not in SYSU_GALLERY:
            raise UserError(f"mode must be one of {tuple(SYSU_GALLERY)}, got {mode!r}{nearest(mode, SYSU_GALLERY)}")
        if draw not in draws:
            raise UserError(f"draw must be one of {tuple(draws)}, got {draw!r}{nearest(draw, draws)}")
        check_counts(shots=shots, trials=trials)
        if seed < 0 or (seed and draw != "unseeded"):
            raise UserError(f"seed must be at least 0, and is for draw 'unseeded' only; got {seed} with draw {draw!r}")
        if permutations is not None and draw != "official":
            raise UserError(f"permutations are for draw 'official' only; draw is {draw!r}")
        self.mode, self.shots, self.number, self.draw, self.seed = mode, shots, trials, draw, seed
        self.permutations = None if permutations is None else normalized_path(permutations)
        self.cameras, self._galleries = SYSU_GALLERY[mode], draws[draw]
        self.rule = RULES["sysu"]
        self.metric = self.rule.cmc

    @property
    def conditions(self) -> dict[str, str | int]:
        stated = {"unseeded": f"unseeded in the release; here NumPy with seed {self.seed}"}
        return {
            "protocol": "SYSU-MM01",
            "direction": "infrared to visible",
            "mode": self.mode,
            "shots": self.shots,
            "trials": self.number,
            "draw": stated.get(self.draw, self.draw),
        }

    def query_rows(self, table: FeatureTable) -> np.ndarray:
        """(Q,) rows that ask in any trial, by identity, camera and name."""
        return np.concatenate(self._folders(table, SYSU_QUERY, "query"))

    def gallery_rows(self, table: FeatureTable) -> np.ndarray:
        """(G,) rows that answer in any trial, ascending."""
        return answering(self.trials(table))

    def trials(self, table: FeatureTable) -> Iterator[Trial]:
        query, junk = self.query_rows(table), junk_of(self.rule.junk, table)
        folders = self._folders(table, self.cameras, "gallery")
        for number, gallery in enumerate(self._galleries(table, folders)):
            yield Trial(f"trial {number}", query, gallery, junk)

    def _folders(self, table: FeatureTable, cameras: tuple[int, ...], role: str) -> list[np.ndarray]:
        return folders_of(table, rows_of(table, protocol="SysuProtocol", role=role, cameras=cameras))

    def _seeded(self, table: FeatureTable, folders: list[np.ndarray]) -> Iterator[np.ndarray]:
        return seeded(table, folders, shots=self.shots, trials=self.number)

    def _unseeded(self, table: FeatureTable, folders: list[np.ndarray]) -> Iterator[np.ndarray]:
        return unseeded(table, folders, shots=self.shots, trials=self.number, seed=self.seed)

    def _official(self, table: FeatureTable, folders: list[np.ndarray]) -> Iterator[np.ndarray]:
        file = self.permutations or permutations_beside(table)
        return official(table, self.cameras, shots=self.shots, trials=self.number, file=file)
