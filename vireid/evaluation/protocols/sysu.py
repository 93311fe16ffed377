"""Evaluation protocol of SYSU-MM01: infrared queries and a drawn visible gallery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from vireid.core.errors import ArgumentError, DataError, UserError, nearest
from vireid.core.labels import with_name, with_names
from vireid.core.paths import InputFile, normalized_path
from vireid.core.registries import PROTOCOLS
from vireid.core.types import EmbeddingTable, Modality, Trial
from vireid.evaluation.junk import RULES, SYSU_GALLERY_CAMERAS, SYSU_QUERY_CAMERAS
from vireid.evaluation.protocols.draws import seeded, unseeded
from vireid.evaluation.protocols.official import official, permutations_path
from vireid.evaluation.protocols.selection import (
    cameras_present,
    check_counts,
    folders_of,
    gallery_of_trials,
    junk_of,
    rows_of,
)

SYSU_MODALITY: Mapping[int, Modality] = {
    **dict.fromkeys(SYSU_GALLERY_CAMERAS, Modality.VISIBLE),
    **dict.fromkeys(SYSU_QUERY_CAMERAS, Modality.INFRARED),
}
SYSU_GALLERY: Mapping[str, tuple[int, ...]] = {"all": SYSU_GALLERY_CAMERAS, "indoor": (1, 2)}


@PROTOCOLS.register
class SysuProtocol:
    """Evaluation protocol of SYSU-MM01: all infrared test images against a drawn visible gallery.

    The gallery has a few drawn images of each identity and camera. Camera 2 is ignored for queries of camera 3. An
    indoor gallery is not a part of the all-search gallery of the same trial, except in the official convention. Rows of
    one (identity, camera) must be in the order of their file names.

    Args:
        mode: "all" draws from cameras 1, 2, 4 and 5, "indoor" from 1 and 2; the queries (cameras 3 and 6) are the same.
        shots: Images drawn from each (identity, camera) that has any: 1 or, for multi-shot, 10.
        trials: Number of draws.
        draw: Convention of the draw. The conventions draw different images, so their numbers are not comparable.
            "seeded": AGW's release and the codes based on it, MCE's for several shots: `random.seed(trial)`; identities
            ascending, cameras within, images by name. "official": the authors of the dataset and MPANet: the
            permutations in `exp/rand_perm_cam.mat` of the dataset, or in the file `permutations`; images by number, all
            of a folder that has fewer than `shots`. "unseeded": PAENet's release: uniform draws that it does not seed.
            NumPy's generator draws them, seeded with `seed`, and the conditions state the seed: such a number can be
            repeated with this package, but never equals the release's exactly.
        seed: Random seed of the draw "unseeded".
        permutations: File of the draw "official".

    Raises:
        UserError: For unknown names and arguments that do not fit together.
        DataError: If there are no query or no gallery rows; for cameras that are not 1 to 6 or have the other modality
            (the rule is not defined for them); if a camera has fewer images of an identity than `shots`; for
            permutations that are missing or name images that do not exist.
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
            raise ArgumentError(
                "mode", f"must be one of {tuple(SYSU_GALLERY)}, got {mode!r}{nearest(mode, SYSU_GALLERY)}"
            )
        if draw not in draws:
            raise ArgumentError("draw", f"must be one of {tuple(draws)}, got {draw!r}{nearest(draw, draws)}")
        check_counts(shots=shots, trials=trials)
        if seed < 0 or (seed and draw != "unseeded"):
            raise ArgumentError(
                "seed", f"must be at least 0, and is for draw 'unseeded' only; got {seed} with draw {draw!r}"
            )
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
        """Report the cameras of the protocol without a test image."""
        missing_cameras = sorted({*SYSU_QUERY_CAMERAS, *self.cameras} - set(np.unique(table.cameras).tolist()))
        if not missing_cameras:
            return []
        rule = (
            "; the rule for queries of camera 3 and images of camera 2 has no effect"
            if {2, 3} & {*missing_cameras}
            else ""
        )
        shown = with_names(missing_cameras, table.camera_names)
        return [f"no test image has the cameras {shown}, which this protocol uses{rule}"]

    def query_rows(self, table: EmbeddingTable) -> np.ndarray:
        """Return the query rows (Q,), by identity, camera and name."""
        return np.concatenate(self._folders(table, SYSU_QUERY_CAMERAS, "query"))

    def gallery_rows(self, table: EmbeddingTable) -> np.ndarray:
        """Return the rows (G,) that are in the gallery of any trial, ascending."""
        return gallery_of_trials(self.trials(table))

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
        file = self.permutations or permutations_path(table)
        return official(table, self.cameras, shots=self.shots, trials=self.number, file=file)


def _check_cameras(table: EmbeddingTable) -> None:
    """Raise DataError for cameras that SYSU-MM01 does not have, or has in the other modality."""
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
