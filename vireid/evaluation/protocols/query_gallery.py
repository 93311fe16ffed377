"""Configurable evaluation protocol for new datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vireid.core.errors import ArgumentError, DataError, UserError, nearest
from vireid.core.labels import with_name, with_names
from vireid.core.registries import PROTOCOLS
from vireid.core.types import EmbeddingTable, Trial
from vireid.evaluation.junk import Junk, same_camera, same_identity_and_camera
from vireid.evaluation.protocols.camera_settings import CameraSettings, checked_cameras, checked_pairs
from vireid.evaluation.protocols.draws import seeded
from vireid.evaluation.protocols.effects import share_a_camera, share_identity_and_camera, smallest_gap
from vireid.evaluation.protocols.selection import (
    MOST,
    Direction,
    folders_of,
    gallery_of_trials,
    rows_of,
    sides_of,
    words,
)
from vireid.retrieval.metrics import Cmc

SAME_CAMERA: dict[str, Junk | None] = {
    "counted": None,
    "not_counted": same_camera,
    "not_counted_for_same_person": same_identity_and_camera,
}
NO_OWN_CAMERA = {
    "not_counted": "no camera has both query and gallery images",
    "not_counted_for_same_person": "no identity has a query and a gallery image of the same camera",
}
OWN_CAMERA: dict[str, Callable[[EmbeddingTable, np.ndarray, np.ndarray], bool] | None] = {
    "counted": None,
    "not_counted": share_a_camera,
    "not_counted_for_same_person": share_identity_and_camera,
}


@dataclass(frozen=True)
class _Chosen:
    """The rows and cameras of a table that the settings select."""

    query: np.ndarray  # (Q,) rows
    gallery: np.ndarray  # (G,) rows from which galleries are drawn
    query_cameras: tuple[int, ...]
    gallery_cameras: tuple[int, ...]
    exclude: tuple[tuple[int, int], ...]


@PROTOCOLS.register
class QueryGalleryProtocol:
    """Configurable protocol: all images of one modality against all or drawn images of the other.

    SYSU-MM01's protocol is QueryGalleryProtocol(query_cameras=(3, 6), gallery_cameras=(1, 2, 4, 5), shots=1, trials=10,
    exclude=((3, 2),)).

    Args:
        direction: "infrared_to_visible" or "visible_to_infrared".
        query_cameras: Cameras of the queries, by number or by name; empty means all. A camera without an image on its
            side is an error, in `exclude` as well.
        gallery_cameras: Cameras of the gallery.
        shots: Number of images drawn of each (identity, camera); 0 uses all images, in one trial.
        trials: Number of draws, with the seeds 0, 1, ... by the convention of SYSU-MM01 ("seeded").
        same_camera: Whether gallery images of the query's camera number count: "counted", "not_counted", or
            "not_counted_for_same_person" (LLCM's rule).
        exclude: Pairs [query camera, gallery camera] that are ignored for all identities (SYSU-MM01's rule is [[3,
            2]]).
        within_seconds: Ignore gallery images of the query's camera taken at most this many seconds from it; needs a
            time for every image (the column `time` of a CSV dataset).
        cmc: "identity" ranks distinct identities (SYSU-MM01, LLCM), "image" ranks images (RegDB).

    Raises:
        UserError: For arguments out of range and unknown names.
        DataError: If there are no query or no gallery rows, a camera has fewer images of an identity than `shots`, or
            times are missing.
    """

    def __init__(
        self,
        *,
        direction: Direction = "infrared_to_visible",
        query_cameras: tuple[int | str, ...] = (),
        gallery_cameras: tuple[int | str, ...] = (),
        shots: int = 0,
        trials: int = 1,
        same_camera: Literal["counted", "not_counted", "not_counted_for_same_person"] = "counted",
        exclude: tuple[tuple[int | str, int | str], ...] = (),
        within_seconds: float | None = None,
        cmc: Cmc = "identity",
    ) -> None:
        self.query, self.gallery = sides_of(direction)
        for name, value, known in (("same_camera", same_camera, SAME_CAMERA), ("cmc", cmc, ("identity", "image"))):
            if value not in known:
                raise ArgumentError(name, f"must be one of {tuple(known)}, got {value!r}{nearest(str(value), known)}")
        if shots < 0 or trials < 1:
            raise ArgumentError("shots", f"must be at least 0 and trials at least 1, got {shots} and {trials}")
        if shots == 0 and trials > 1:
            raise UserError(f"shots 0 uses all images in every trial: trials must be 1, got {trials}")
        if within_seconds is not None and within_seconds < 0:
            raise ArgumentError("within_seconds", f"must be at least 0, got {within_seconds:g}")
        self.direction, self.shots, self.number, self.metric = direction, shots, trials, cmc
        self.query_cameras = checked_cameras("query_cameras", query_cameras)
        self.gallery_cameras = checked_cameras("gallery_cameras", gallery_cameras)
        self.same_camera, self.exclude = same_camera, checked_pairs("exclude", exclude)
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
        return {**stated, **self._stated_cameras(str, self.query_cameras, self.gallery_cameras, self.exclude)}

    def conditions_on(self, table: EmbeddingTable) -> dict[str, str | int]:
        """Return the conditions with the names of cameras next to their numbers, as in "3 (cam_c)"."""
        chosen = self._select(table)
        cameras = chosen.query_cameras, chosen.gallery_cameras, chosen.exclude
        named = self._stated_cameras(lambda camera: with_name(camera, table.camera_names), *cameras)
        return {**self.conditions, **named}

    def remarks_on(self, table: EmbeddingTable) -> list[str]:
        """Report the rules that ignore no pair of these images, with the reason."""
        chosen, names = self._select(table), table.camera_names
        remarks = []
        pairs = OWN_CAMERA[self.same_camera]
        if pairs and not pairs(table, chosen.query, chosen.gallery):
            sides = [np.unique(table.cameras[rows]).tolist() for rows in (chosen.query, chosen.gallery)]
            remarks.append(
                f"same_camera: {self.same_camera} has no effect: {NO_OWN_CAMERA[self.same_camera]} (cameras of the"
                f" queries: {with_names(sides[0][:MOST], names)}; of the gallery: {with_names(sides[1][:MOST], names)})"
            )
        if self.within_seconds is not None:
            nearest_pair = smallest_gap(table, chosen.query, chosen.gallery)
            if nearest_pair > self.within_seconds:
                apart = f"a query and a gallery image of one camera are at least {nearest_pair:g} s apart"
                why = apart if np.isfinite(nearest_pair) else NO_OWN_CAMERA["not_counted"]
                remarks.append(f"within_seconds: {self.within_seconds:g} has no effect: {why} (times count in seconds)")
        return remarks

    def _stated_cameras(self, word: Callable[[Any], str], query, gallery, exclude) -> dict[str, str]:
        """Return the conditions that name cameras or times."""
        stated = {}
        if query:
            stated["query_cameras"] = _joined(map(word, query))
        if gallery:
            stated["gallery_cameras"] = _joined(map(word, gallery))
        if exclude:
            stated["excluded"] = _joined(f"{word(right)} for {word(left)}" for left, right in exclude)
        if self.within_seconds is not None:
            stated["not_counted"] = f"own camera within {self.within_seconds:g} s"
        return stated

    def _select(self, table: EmbeddingTable) -> _Chosen:
        """Select the rows of both sides and camera numbers; DataError for cameras without an image on their side."""
        query = rows_of(table, protocol=self._name, role="query", modality=self.query)
        gallery = rows_of(table, protocol=self._name, role="gallery", modality=self.gallery)
        settings = CameraSettings(table, self._name)
        query_cameras = settings.numbers("query_cameras", self.query_cameras, query, "query")
        gallery_cameras = settings.numbers("gallery_cameras", self.gallery_cameras, gallery, "gallery")
        if query_cameras:
            query = query[np.isin(table.cameras[query], query_cameras)]
        if gallery_cameras:
            gallery = gallery[np.isin(table.cameras[gallery], gallery_cameras)]
        left = settings.numbers("exclude", [pair[0] for pair in self.exclude], query, "query")
        right = settings.numbers("exclude", [pair[1] for pair in self.exclude], gallery, "gallery")
        settings.raise_if_any()
        return _Chosen(query, gallery, query_cameras, gallery_cameras, tuple(zip(left, right)))

    @property
    def _name(self) -> str:
        return type(self).__name__

    def query_rows(self, table: EmbeddingTable) -> np.ndarray:
        """Return the query rows (Q,), by identity and camera, else in the order of the dataset."""
        return np.concatenate(folders_of(table, self._select(table).query))

    def gallery_rows(self, table: EmbeddingTable) -> np.ndarray:
        """Return the rows (G,) that are in the gallery of any trial, ascending."""
        return gallery_of_trials(self.trials(table))

    def trials(self, table: EmbeddingTable) -> Iterator[Trial]:
        chosen = self._select(table)
        query, junk = np.concatenate(folders_of(table, chosen.query)), self._junk(table, chosen.exclude)
        folders = folders_of(table, chosen.gallery)
        if self.shots == 0:
            yield Trial("all images", query, np.concatenate(folders), junk)
            return
        for number, gallery in enumerate(seeded(table, folders, shots=self.shots, trials=self.number)):
            yield Trial(f"trial {number}", query, gallery, junk)

    def _junk(
        self, table: EmbeddingTable, exclude: Sequence[tuple[int, int]]
    ) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        rule, times = SAME_CAMERA[self.same_camera], self._times(table)

        def junk(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
            cameras = table.cameras[query], table.cameras[gallery]
            out = np.zeros((len(query), len(gallery)), bool)
            if rule is not None:
                out |= rule(table.labels[query], cameras[0], table.labels[gallery], cameras[1])
            for left, right in exclude:
                out |= (cameras[0] == left)[:, None] & (cameras[1] == right)[None]
            if times is not None:
                near = np.abs(times[query][:, None] - times[gallery][None]) <= self.within_seconds
                out |= near & (cameras[0][:, None] == cameras[1][None])
            return out

        return junk

    def _times(self, table: EmbeddingTable) -> np.ndarray | None:
        """Return the times (N,) in seconds; None if `within_seconds` is not set."""
        if self.within_seconds is None:
            return None
        times = [sample.time for sample in table.samples or ()]
        missing = sum(time is None for time in times) if times else len(table)
        if missing:
            raise DataError(
                f"within_seconds needs a time for every test image; {missing} of {len(table)} have none"
                " (DATA.COLUMNS.TIME names the column of a CSV dataset)"
            )
        return np.array(times, float)


def _joined(values) -> str:
    return " ".join(map(str, values))
