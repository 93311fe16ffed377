"""Evaluation protocols of LLCM: a drawn gallery, and the exchanged roles of the released test scripts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vireid.core.registries import PROTOCOLS
from vireid.core.types import EmbeddingTable, Modality, Trial
from vireid.evaluation.junk import RULES
from vireid.evaluation.protocols.draws import seeded
from vireid.evaluation.protocols.effects import share_identity_and_camera
from vireid.evaluation.protocols.selection import (
    Direction,
    cameras_present,
    check_counts,
    folders_of,
    gallery_of_trials,
    junk_of,
    rows_of,
    sides_of,
    words,
)


@PROTOCOLS.register
class LLCMProtocol:
    """Evaluation protocol of LLCM: all images of one modality against a drawn gallery of the other.

    The gallery has one drawn image of each identity and camera.

    Galleries are drawn as in SYSU-MM01, with the trial number as the random seed; identities ascending, cameras within,
    images by name. Images of the query's identity in the query's camera are ignored; a camera number covers both
    modalities. CMC is over distinct identities. A query whose identity has no other camera in the gallery is skipped.

    "visible_to_infrared" is the evaluation during training of the released code. The numbers that its test scripts
    print for that direction are `LLCMReleasedTransposed`: never put the two into one table. Rows of one (identity,
    camera) must be in the order of their file names.

    Args:
        direction: "infrared_to_visible" or "visible_to_infrared".
        trials: Number of draws.

    Raises:
        DataError: If there are no query or no gallery rows.
    """

    def __init__(self, *, direction: Direction = "infrared_to_visible", trials: int = 10) -> None:
        check_counts(trials=trials)
        self.query, self.gallery = sides_of(direction)
        self.direction, self.number, self.rule = direction, trials, RULES["llcm"]
        self.metric = self.rule.cmc

    @property
    def conditions(self) -> dict[str, str | int]:
        return {
            "protocol": "LLCM",
            "direction": words(self.direction),
            "mode": "drawn gallery",
            "shots": 1,
            "trials": self.number,
            "draw": "seeded",
        }

    def remarks_on(self, table: EmbeddingTable) -> list[str]:
        """Report if the junk rule ignores no pair of these images."""
        return _remarks(table, query=self.query, gallery=self.gallery)

    def query_rows(self, table: EmbeddingTable) -> np.ndarray:
        """Return the query rows (Q,) of all trials, by identity, camera and name."""
        return np.concatenate(_folders(table, self.query, "LLCMProtocol", "query"))

    def gallery_rows(self, table: EmbeddingTable) -> np.ndarray:
        """Return the rows (G,) that are in the gallery of any trial, ascending."""
        return gallery_of_trials(self.trials(table))

    def trials(self, table: EmbeddingTable) -> Iterator[Trial]:
        query, junk = self.query_rows(table), junk_of(self.rule.junk, table)
        folders = _folders(table, self.gallery, "LLCMProtocol", "gallery")
        for number, gallery in enumerate(seeded(table, folders, shots=1, trials=self.number)):
            yield Trial(f"trial {number}", query, gallery, junk)


@PROTOCOLS.register
class LLCMReleasedTransposed:
    """The "visible to infrared" evaluation of LLCM's released test scripts (AGW's and DEEN's), `llcm_v2i_released`.

    The scripts exchange the roles: the queries are drawn infrared images, one of each identity and camera, and the
    gallery is ALL visible images. This is infrared to visible with a full gallery, which has many more correct images
    for each query, so its rank-1 is far above its mAP. Use it to compare with the README of the release; the standard
    protocol is `LLCMProtocol(direction="visible_to_infrared")`. (Inferred from code and numbers, not confirmed by the
    authors.) Metric, draws and errors are those of `LLCMProtocol`.

    Args:
        trials: Number of draws.
    """

    def __init__(self, *, trials: int = 10) -> None:
        check_counts(trials=trials)
        self.number, self.rule = trials, RULES["llcm"]
        self.metric = self.rule.cmc

    @property
    def conditions(self) -> dict[str, str | int]:
        return {
            "protocol": "LLCM llcm_v2i_released (roles exchanged; not comparable with LLCM visible to infrared)",
            "direction": "infrared to visible",
            "mode": "drawn queries, all visible images as gallery",
            "shots": "all",
            "trials": self.number,
            "draw": "seeded",
        }

    def remarks_on(self, table: EmbeddingTable) -> list[str]:
        """Report if the junk rule ignores no pair of these images."""
        return _remarks(table, query=Modality.INFRARED, gallery=Modality.VISIBLE)

    def query_rows(self, table: EmbeddingTable) -> np.ndarray:
        """Return the rows (Q,) that are queries in any trial, ascending."""
        return np.unique(np.concatenate([trial.query for trial in self.trials(table)]))

    def gallery_rows(self, table: EmbeddingTable) -> np.ndarray:
        """Return the gallery rows (G,), by identity, camera and name."""
        return np.concatenate(_folders(table, Modality.VISIBLE, "LLCMReleasedTransposed", "gallery"))

    def trials(self, table: EmbeddingTable) -> Iterator[Trial]:
        gallery, junk = self.gallery_rows(table), junk_of(self.rule.junk, table)
        folders = _folders(table, Modality.INFRARED, "LLCMReleasedTransposed", "query")
        for number, query in enumerate(seeded(table, folders, shots=1, trials=self.number)):
            yield Trial(f"trial {number}", query, gallery, junk)


def _folders(table: EmbeddingTable, modality: Modality, protocol: str, role: str) -> list[np.ndarray]:
    return folders_of(table, rows_of(table, protocol=protocol, role=role, modality=modality))


def _remarks(table: EmbeddingTable, *, query: Modality, gallery: Modality) -> list[str]:
    rows = [np.flatnonzero(table.modality == modality) for modality in (query, gallery)]
    if share_identity_and_camera(table, *rows):
        return []
    return [
        "the rule that ignores the same identity in the same camera has no effect: no identity has a query and a"
        f" gallery image of the same camera{cameras_present(table)}"
    ]
