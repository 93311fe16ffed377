"""The protocols of LLCM: a drawn gallery, and the exchanged roles of the released test scripts."""

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
    answering,
    cameras_present,
    check_counts,
    folders_of,
    junk_of,
    rows_of,
    sides_of,
    words,
)


@PROTOCOLS.register
class LLCMProtocol:
    """LLCM: all images of one modality ask, one drawn image of each identity and camera of the other answers.

    `direction`: "infrared_to_visible" or "visible_to_infrared". Galleries are drawn as in SYSU-MM01, with the trial's
    number as the seed; identities ascending, cameras within, images by name. Not counted: the same person in the same
    camera, which takes both modalities. CMC over distinct identities. A query whose person has no other camera in the
    gallery is skipped.

    "visible_to_infrared" is the evaluation during training of the released code. The numbers that its test scripts
    print for that direction are `LLCMReleasedTransposed`: never put the two into one table.
    Rows of the table: those of one (identity, camera) must be in the order of their file names.
    Errors: `DataError` without query or gallery rows.
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
        """Whether the junk rule ignores no pair of these images."""
        return _remarks(table, query=self.query, gallery=self.gallery)

    def query_rows(self, table: EmbeddingTable) -> np.ndarray:
        """(Q,) rows that ask in any trial, by identity, camera and name."""
        return np.concatenate(_folders(table, self.query, "LLCMProtocol", "query"))

    def gallery_rows(self, table: EmbeddingTable) -> np.ndarray:
        """(G,) rows that answer in any trial, ascending."""
        return answering(self.trials(table))

    def trials(self, table: EmbeddingTable) -> Iterator[Trial]:
        query, junk = self.query_rows(table), junk_of(self.rule.junk, table)
        folders = _folders(table, self.gallery, "LLCMProtocol", "gallery")
        for number, gallery in enumerate(seeded(table, folders, shots=1, trials=self.number)):
            yield Trial(f"trial {number}", query, gallery, junk)


@PROTOCOLS.register
class LLCMReleasedTransposed:
    """What the released test scripts of LLCM (AGW's and DEEN's) compute for "visible to infrared", `llcm_v2i_released`.

    They exchange the roles: the drawn infrared images, one of each identity and camera, ask, and ALL visible images
    answer. That is infrared to visible with a full gallery, which has many more correct images for each query: its
    rank-1 is far above its mAP. For comparison with the README of the release; the obvious protocol is
    `LLCMProtocol(direction="visible_to_infrared")`. (Inferred from code and numbers, not confirmed by the authors.)
    Metric, draws and errors are those of `LLCMProtocol`.
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
        """Whether the junk rule ignores no pair of these images."""
        return _remarks(table, query=Modality.INFRARED, gallery=Modality.VISIBLE)

    def query_rows(self, table: EmbeddingTable) -> np.ndarray:
        """(Q,) rows that ask in any trial, ascending."""
        return np.unique(np.concatenate([trial.query for trial in self.trials(table)]))

    def gallery_rows(self, table: EmbeddingTable) -> np.ndarray:
        """(G,) rows that answer, by identity, camera and name."""
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
