"""Structural types of the parts. Nobody has to inherit from these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from vireid.core.types import DatasetInfo, EmbeddingTable, Progress, Sample, Trial


class Backbone(Protocol):
    channels: int

    def __call__(self, images: Tensor, modality: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, 3, h, w), (B,) -> (R, C, H, W) and the batch row of each output row, or None.

        One that has a third parameter `visible` is given `Batch.visible` with it. One that makes several rows of an
        image says `provides = frozenset({"branch", "source"})`, so that heads and losses may ask for them.
        """
        ...


class Pool(Protocol):
    def __call__(self, feature_map: Tensor) -> Tensor:
        """(R, C, H, W) -> (R, C)."""
        ...


class AttributeStage(Protocol):
    """One step of PAE. Emb1, Emb2 and Emb3 have this form; so does any variant of them."""

    def __call__(self, tokens: Tensor, feature_map: Tensor, attributes: Tensor) -> Tensor:
        """(R, T, C), (R, C, H, W), (R, A) -> (R, T', C); T starts at 1, Emb3 makes it A."""
        ...


class Adapter(Protocol):
    """Rewrites the map between backbone and heads. Absent in plain baselines."""

    provides: frozenset[str]

    def __call__(
        self, pooled: Tensor, feature_map: Tensor, attributes: Tensor
    ) -> tuple[Tensor, Mapping[str, Tensor]]: ...


class Head(Protocol):
    """Parameter names of `forward` are the request. `training_only` fields are skipped in evaluation."""

    provides: frozenset[str]
    dims: Mapping[str, int]  # width of each field it provides

    def __call__(self, **fields: Tensor) -> Mapping[str, Tensor]: ...


class Loss(Protocol):
    """Parameter names are the request. Returns one scalar or several named ones."""

    def __call__(self, **fields: Tensor) -> Tensor | Mapping[str, Tensor]: ...


@runtime_checkable
class Measures(Protocol):
    """For losses that have more to say than their value: names and numbers for the log, which nothing learns from.

    Asked with the fields of the loss itself; NaN stands for "nothing to measure in this batch".
    """

    def measure(self, **fields: Tensor) -> Mapping[str, Tensor]: ...


class TermSchedule(Protocol):
    """Factor of a loss term as training goes on."""

    def __call__(self, progress: Progress) -> float: ...


class EpochContext(Protocol):
    """What a part may ask for at the start of an epoch."""

    progress: Progress
    samples: Sequence[Sample]  # the training set: paths, labels, attributes; no images

    def training_features(self, view: int = 0) -> EmbeddingTable:
        """Descriptors of the whole training set as evaluation sees it; computed once and kept for the epoch.

        Another `view` (an entry of VIEWS, the first is 1): of the images that have it, in that view alone, without
        any other augmentation.
        """
        ...


@runtime_checkable
class StartsEpoch(Protocol):
    """For parts that refresh state from the whole training set (memories)."""

    def start_epoch(self, context: EpochContext) -> None: ...


class Dataset(Protocol):
    """A data set on disk: lists images, opens none."""

    def train(self) -> Sequence[Sample]:
        """Training images; identities contiguous from 0."""
        ...

    def facts(self) -> DatasetInfo:
        """The numbers of identities, cameras and attributes that the files on disk have."""
        ...

    def test(self) -> Sequence[Sample]:
        """Every image that any protocol may ask for or answer with; identities as the data set numbers them."""
        ...


@runtime_checkable
class Identified(Protocol):
    """For data sets that say what a checkpoint trained on them must agree in: {"data": "RegDB", "trial": 3}."""

    @property
    def checkpoint_key(self) -> Mapping[str, str | int]:
        """Plain values; the name of the data set, and its split where there are several. Opens no file."""
        ...


@runtime_checkable
class NamesCameras(Protocol):
    """For datasets whose cameras have names: protocols accept them, reports print them beside the numbers."""

    @property
    def camera_names(self) -> Mapping[int, str]:
        """Camera number -> name; empty where cameras have none. May raise DataError as `train` does."""
        ...


@runtime_checkable
class ConditionsOnTable(Protocol):
    """For evaluation protocols whose conditions are more exact once the test images are known."""

    def conditions_on(self, table: EmbeddingTable) -> Mapping[str, str | int]:
        """The protocol's `conditions`, with camera names beside numbers."""
        ...


@runtime_checkable
class RemarksOnTable(Protocol):
    """For evaluation protocols that have settings or rules without effect on some test images."""

    def remarks_on(self, table: EmbeddingTable) -> Sequence[str]:
        """What has no effect on these images, a sentence each."""
        ...


class GalleryIndex(Protocol):
    """Finds the most similar of many rows. Rows are made unit; their ids are 0, 1, ... in the order they were added."""

    @property
    def exact(self) -> bool:
        """Whether an answer is the true one, or may miss some of it."""
        ...

    @property
    def description(self) -> str:
        """Name and values, as the conditions of a number state them."""
        ...

    def __len__(self) -> int: ...

    def add(self, features: np.ndarray) -> None:
        """(G, D) float32."""
        ...

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(Q, D), k -> cosine similarities and ids, (Q, k), best first, equal ones by id; -inf and -1 where
        there are fewer.

        `allowed`: (G,) bool; rows where it is False are not found.
        """
        ...

    def save(self, path: Path) -> None:
        """Keep the index as a file that `load` of an index made with the same arguments reads."""
        ...

    def load(self, path: Path) -> None: ...


@runtime_checkable
class TrainedIndex(Protocol):
    """For indexes that learn from the vectors they hold (centers of lists, codes, directions)."""

    growth: float  # holding more than this times the vectors of its training, the index has outgrown it

    @property
    def trained_on(self) -> int | None:
        """Number of vectors of the training: 0 if nothing was trained, None if a file does not record it."""
        ...

    @property
    def limit(self) -> int | None:
        """Number of vectors up to which the training counts; None: there is no training that could be outgrown."""
        ...

    def outgrown(self, number: int) -> bool:
        """Whether `number` vectors are more than `limit`."""
        ...

    def clear(self) -> None:
        """Remove all vectors and the training."""
        ...

    def check_width(self, width: int) -> None:
        """Raise UserError if vectors of this width cannot be indexed with the arguments of this index."""
        ...


class Scorer(Protocol):
    """Fills the matrix of similarities; larger is closer."""

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """(Q, D), (G, D) float32 unit rows -> (Q, G) float32."""
        ...


class Reranker(Protocol):
    """Other similarities than dot products, from the neighbours of queries and gallery."""

    @property
    def description(self) -> str:
        """Name and values, as the conditions of a number state them."""
        ...

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """(Q, D), (G, D) -> (Q, G) float, larger is closer; each depends on all of both sides."""
        ...


class RetrievalProtocol(Protocol):
    def trials(self, table: EmbeddingTable) -> Iterator[Trial]:
        """Row numbers and junk rule; no images."""
        ...
