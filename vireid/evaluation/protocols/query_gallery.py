"""A protocol for people's own data, by arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from vireid.core.errors import DataError, UserError, nearest
from vireid.core.registries import PROTOCOLS
from vireid.core.types import FeatureTable, Trial
from vireid.evaluation.protocols.draws import seeded
from vireid.evaluation.protocols.selection import Direction, answering, folders_of, rows_of, sides_of, words
from vireid.evaluation.rules import Junk, same_camera, same_person_and_camera
from vireid.retrieval.metrics import Cmc

SAME_CAMERA: dict[str, Junk | None] = {
    "counted": None,
    "not_counted": same_camera,
    "not_counted_for_same_person": same_person_and_camera,
}


@PROTOCOLS.register
class QueryGalleryProtocol:
    """All images of one modality ask; all of the other, or a few drawn ones of each (identity, camera), answer.

    `direction`: "infrared_to_visible" or "visible_to_infrared". `query_cameras`, `gallery_cameras`: only these; none
    named means all.
    `shots`: images drawn of each (identity, camera); 0 = all images answer, in one trial. `trials`: draws, with the
    seeds 0, 1, ... by the convention of SYSU-MM01 ("seeded").
    `same_camera`: whether answers of the query's own camera number count: "counted", "not_counted", or
    "not_counted_for_same_person" (LLCM's rule). `exclude`: pairs [query camera, gallery camera] that never meet,
    whoever is on the images (SYSU-MM01's rule is [[3, 2]]).
    `within_seconds`: an answer of the query's own camera taken at most so many seconds from it is not counted; needs a
    time for every image (the column `time` of a CSV data set).
    `cmc`: "identity" ranks distinct identities (SYSU-MM01, LLCM), "image" ranks images (RegDB).
    Errors: `DataError` without query or gallery rows, where a camera has fewer images of an identity than `shots`, or
    where times are missing.

    SYSU-MM01's protocol is QueryGalleryProtocol(query_cameras=(3, 6), gallery_cameras=(1, 2, 4, 5), shots=1,
    trials=10, exclude=((3, 2),)).
    """

    def __init__(
        self,
        *,
        direction: Direction = "infrared_to_visible",
        query_cameras: tuple[int, ...] = (),
        gallery_cameras: tuple[int, ...] = (),
        shots: int = 0,
        trials: int = 1,
        same_camera: Literal["counted", "not_counted", "not_counted_for_same_person"] = "counted",
        exclude: tuple[tuple[int, int], ...] = (),
        within_seconds: float | None = None,
        cmc: Cmc = "identity",
    ) -> None:
        self.query, self.gallery = sides_of(direction)
        for name, value, known in (("same_camera", same_camera, SAME_CAMERA), ("cmc", cmc, ("identity", "image"))):
            if value not in known:
                raise UserError(f"{name} must be one of {tuple(known)}, got {value!r}{nearest(str(value), known)}")
        if shots < 0 or trials < 1:
            raise UserError(f"shots must be at least 0 and trials at least 1, got {shots} and {trials}")
        if shots == 0 and trials > 1:
            raise UserError(f"shots 0 lets all images answer, the same in every trial: trials must be 1, got {trials}")
        if within_seconds is not None and within_seconds < 0:
            raise UserError(f"within_seconds must be at least 0, got {within_seconds:g}")
        self.direction, self.shots, self.number, self.metric = direction, shots, trials, cmc
        self.query_cameras, self.gallery_cameras = tuple(query_cameras), tuple(gallery_cameras)
        self.same_camera, self.exclude = same_camera, tuple((left, right) for left, right in exclude)
        self.within_seconds = within_seconds

    @property
    def conditions(self) -> dict[str, str | int]:
        stated: dict[str, str | int] = {
            "protocol": "query and gallery",
            "direction": words(self.direction),
            "mode": "drawn gallery" if self.shots else "all images",
            "shots": self.shots or "all",
            "trials": self.number,
            "draw": "seeded" if self.shots else "none",
            "cmc": f"of {'identities' if self.metric == 'identity' else 'images'}",
            "same_camera": words(self.same_camera),
        }
        if self.query_cameras:
            stated["query_cameras"] = _joined(self.query_cameras)
        if self.gallery_cameras:
            stated["gallery_cameras"] = _joined(self.gallery_cameras)
        if self.exclude:
            stated["excluded"] = _joined(f"{right} for {left}" for left, right in self.exclude)
        if self.within_seconds is not None:
            stated["not_counted"] = f"own camera within {self.within_seconds:g} s"
        return stated

    def query_rows(self, table: FeatureTable) -> np.ndarray:
        """(Q,) rows that ask, by identity and camera, else as the data set lists them."""
        rows = rows_of(
            table, protocol="QueryGalleryProtocol", role="query", modality=self.query, cameras=self.query_cameras
        )
        return np.concatenate(folders_of(table, rows))

    def gallery_rows(self, table: FeatureTable) -> np.ndarray:
        """(G,) rows that answer in any trial, ascending."""
        return answering(self.trials(table))

    def trials(self, table: FeatureTable) -> Iterator[Trial]:
        query, junk = self.query_rows(table), self._junk(table)
        rows = rows_of(
            table, protocol="QueryGalleryProtocol", role="gallery", modality=self.gallery, cameras=self.gallery_cameras
        )
        folders = folders_of(table, rows)
        if self.shots == 0:
            yield Trial("all images", query, np.concatenate(folders), junk)
            return
        for number, gallery in enumerate(seeded(table, folders, shots=self.shots, trials=self.number)):
            yield Trial(f"trial {number}", query, gallery, junk)

    def _junk(self, table: FeatureTable) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        rule, times = SAME_CAMERA[self.same_camera], self._times(table)

        def junk(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
            cameras = table.cameras[query], table.cameras[gallery]
            out = np.zeros((len(query), len(gallery)), bool)
            if rule is not None:
                out |= rule(table.labels[query], cameras[0], table.labels[gallery], cameras[1])
            for left, right in self.exclude:
                out |= (cameras[0] == left)[:, None] & (cameras[1] == right)[None]
            if times is not None:
                near = np.abs(times[query][:, None] - times[gallery][None]) <= self.within_seconds
                out |= near & (cameras[0][:, None] == cameras[1][None])
            return out

        return junk

    def _times(self, table: FeatureTable) -> np.ndarray | None:
        """(N,) seconds, where they are asked for."""
        if self.within_seconds is None:
            return None
        times = [sample.time for sample in table.samples or ()]
        missing = sum(time is None for time in times) if times else len(table)
        if missing:
            raise DataError(
                f"within_seconds needs a time for every test image; {missing} of {len(table)} have none"
                " (DATA.COLUMNS.TIME names the column of a CSV data set)"
            )
        return np.array(times, float)


def _joined(values) -> str:
    return " ".join(map(str, values))
