"""The protocol of SYSU-MM01: infrared queries, a drawn visible gallery, camera 2 ignored for queries of camera 3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from vireid.core.errors import DataError, UserError, nearest
from vireid.core.labels import with_name, with_names
from vireid.core.paths import InputFile, normalized_path
from vireid.core.registries import PROTOCOLS
from vireid.core.types import EmbeddingTable, Modality, Trial
from vireid.evaluation.junk import RULES
from vireid.evaluation.protocols.draws import seeded, unseeded
from vireid.evaluation.protocols.official import official, permutations_beside
from vireid.evaluation.protocols.selection import (
    answering,
    cameras_present,
    check_counts,
    folders_of,
    junk_of,
    rows_of,
)

SYSU_MODALITY: Mapping[int, Modality] = {
    **dict.fromkeys((1, 2, 4, 5), Modality.VISIBLE),
    **dict.fromkeys((3, 6), Modality.INFRARED),
}
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
      "unseeded", PAENet's release: uniform draws that it does not seed, with Python's `random.choice` for one shot and
        NumPy's `choice` for several. Here NumPy's generator draws both, seeded with `seed`, and the
        conditions state the seed: such a number can be repeated here, but never equals the release's exactly.
    An indoor gallery is not a part of the all-search gallery of the same trial, except in the official convention.
    Rows of the table: those of one (identity, camera) must be in the order of their file names.
    Errors: `DataError` without query or gallery rows, for cameras that are not 1 to 6 or of the other modality (the
    rule would not hold for them), where a camera has fewer images of an identity than `shots`, and for permutations
    that are missing or name images that are not there.
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

    def remarks_on(self, table: EmbeddingTable) -> list[str]:
        """Cameras of the protocol without a test image."""
        absent = sorted({*SYSU_QUERY, *self.cameras} - set(np.unique(table.cameras).tolist()))
        if not absent:
            return []
        rule = "; the rule for queries of camera 3 and images of camera 2 has no effect" if {2, 3} & {*absent} else ""
        shown = with_names(absent, table.camera_names)
        return [f"no test image has the cameras {shown}, which this protocol uses{rule}"]

    def query_rows(self, table: EmbeddingTable) -> np.ndarray:
        """(Q,) rows that ask in any trial, by identity, camera and name."""
        return np.concatenate(self._folders(table, SYSU_QUERY, "query"))

    def gallery_rows(self, table: EmbeddingTable) -> np.ndarray:
        """(G,) rows that answer in any trial, ascending."""
        return answering(self.trials(table))

    def trials(self, table: EmbeddingTable) -> Iterator[Trial]:
        query, junk = self.query_rows(table), junk_of(self.rule.junk, table)
        folders = self._folders(table, self.cameras, "gallery")
        for number, gallery in enumerate(self._galleries(table, folders)):
            yield Trial(f"trial {number}", query, gallery, junk)

    def _folders(self, table: EmbeddingTable, cameras: tuple[int, ...], role: str) -> list[np.ndarray]:
        _check_cameras(table)
        return folders_of(table, rows_of(table, protocol="SysuProtocol", role=role, cameras=cameras))

    def _seeded(self, table: EmbeddingTable, folders: list[np.ndarray]) -> Iterator[np.ndarray]:
        return seeded(table, folders, shots=self.shots, trials=self.number)

    def _unseeded(self, table: EmbeddingTable, folders: list[np.ndarray]) -> Iterator[np.ndarray]:
        return unseeded(table, folders, shots=self.shots, trials=self.number, seed=self.seed)

    def _official(self, table: EmbeddingTable, folders: list[np.ndarray]) -> Iterator[np.ndarray]:
        file = self.permutations or permutations_beside(table)
        return official(table, self.cameras, shots=self.shots, trials=self.number, file=file)


def _check_cameras(table: EmbeddingTable) -> None:
    """DataError for cameras that SYSU-MM01 does not have, or has in the other modality."""
    expected = np.full(len(table), -1)
    for camera, modality in SYSU_MODALITY.items():
        expected[table.cameras == camera] = modality
    if (wrong := expected != table.modality).any():
        row = int(wrong.argmax())
        word = with_name(int(table.cameras[row]), table.camera_names)
        kind = Modality(int(table.modality[row])).name.lower()
        raise DataError(
            f"SysuProtocol is for the cameras 1, 2, 4, 5 (visible) and 3, 6 (infrared); {int(wrong.sum())} of the"
            f" {len(table)} test images do not fit, such as those of camera {word} ({kind}){cameras_present(table)}."
            " For other cameras use QueryGalleryProtocol"
        )
