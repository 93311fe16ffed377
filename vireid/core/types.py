"""Values that cross a border between packages. Shape letters: see `vocabulary`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


class Modality(IntEnum):
    """How a camera sees."""

    VISIBLE = 0
    INFRARED = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """One image on disk and everything annotated about it."""

    path: Path
    identity: int  # contiguous in training, raw otherwise
    modality: Modality
    camera: int
    attributes: tuple[int, ...] | None = None  # A zeros and ones, -1 where nobody annotated
    time: float | None = None  # seconds from any fixed moment; None where nobody knows


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of both modalities in one tensor; nothing may depend on their order."""

    images: Tensor  # (B, 3, height, width), uint8 from the loader, normalised float in the model
    labels: Tensor  # (B,) int64
    modality: Tensor  # (B,) int64, a Modality
    cameras: Tensor  # (B,) int64
    view: Tensor  # (B,) int64, 0 unless a loader makes extra views
    index: Tensor  # (B,) int64, row in the data set
    attributes: Tensor | None = None  # (B, A) float in [0, 1]
    attributes_known: Tensor | None = None  # (B, A) bool; False where nobody annotated
    visible: int | None = None  # how many rows are visible, where those stand first and the host knows it
    host: tuple[Tensor, Tensor] | None = None  # modality and view on the CPU, kept when the rows left it

    def __len__(self) -> int:
        return len(self.labels)

    def _map(
        self, change: Callable[[Tensor], Tensor], visible: int | None, host: tuple[Tensor, Tensor] | None
    ) -> Batch:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **changed, visible=visible, host=host)

    def to(self, device: torch.device | str) -> Batch:
        """The batch on another device; copies do not wait for it.

        Rows that leave the host are counted before: asking a device for numbers means waiting for it.
        """
        visible = _leading_visible(self.modality) if self.visible is None else self.visible
        host = (self.modality, self.view) if self.modality.device.type == "cpu" else self.host
        return self._map(lambda value: value.to(device, non_blocking=True), visible, host)

    def host_columns(self) -> tuple[Tensor, Tensor]:
        """(B,) modality and (B,) view on the CPU; waits for the device only where the rows never were on the CPU."""
        return self.host or (self.modality.cpu(), self.view.cpu())

    def select(self, rows: Tensor | slice) -> Batch:
        """The batch with other rows, or the same in another order: (N,) int64 or bool, or a slice."""
        return self._map(lambda value: value[rows], None, None)

    def with_images(self, images: Tensor) -> Batch:
        """The same rows with other images."""
        return replace(self, images=images)


def _leading_visible(modality: Tensor) -> int | None:
    """Number of visible rows, if modality is on the CPU and all of them stand before the infrared ones."""
    if modality.device.type != "cpu":
        return None
    count = int((modality == Modality.VISIBLE).sum())
    expected = torch.full_like(modality, Modality.INFRARED)
    expected[:count] = Modality.VISIBLE
    return count if torch.equal(modality, expected) else None


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """What a model says about a batch: named fields from the vocabulary."""

    values: Mapping[str, Tensor]
    source: Tensor | None = None  # (R,) batch row of each feature row; None means the same rows


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """Numbers known only at run time. Given to any constructor that names them; never written in YAML."""

    num_ids: int = 0
    num_cameras: int = 0
    num_attributes: int = 0
    channels: int = 0  # of the backbone's map
    feature_dim: int = 0  # of the field the part is bound to


@dataclass(slots=True)
class Progress:
    """Where a run stands; stored in every checkpoint."""

    epoch: int = 0  # epochs finished
    step: int = 0  # optimisation steps taken, over all epochs
    last_epoch: Mapping[str, float] = field(default_factory=dict)  # mean of each term in the last finished epoch


@dataclass(frozen=True)
class EmbeddingTable:
    """Descriptors of a list of images and what is known about each."""

    embeddings: np.ndarray  # (N, D) float32, L2-normalized rows
    labels: np.ndarray  # (N,) int64
    cameras: np.ndarray  # (N,) int64
    modality: np.ndarray  # (N,) int64
    conditions: Mapping[str, str] = field(default_factory=dict)  # feature, attribute source, flips, checkpoint
    samples: Sequence[Sample] | None = None  # of each row, for protocols that need file names or times
    camera_names: Mapping[int, str] = field(default_factory=dict)  # number -> name, where cameras have names

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Trial:
    """One evaluation: which rows ask, which rows answer, and which answers are not counted."""

    name: str
    query: np.ndarray  # (Q,) row numbers
    gallery: np.ndarray  # (G,) row numbers
    junk: Callable[[np.ndarray, np.ndarray], np.ndarray]  # (query rows, gallery rows) -> (Q, G) bool, True: not counted
