"""Values that cross a border between packages. Shape letters: see `core.fields`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


class Modality(IntEnum):
    """Imaging modality of a camera."""

    VISIBLE = 0
    INFRARED = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """One image on disk and its annotations."""

    path: Path
    identity: int  # contiguous in training, raw otherwise
    modality: Modality
    camera: int
    attributes: tuple[int, ...] | None = None  # A values: 0, 1, or -1 if not annotated
    time: float | None = None  # seconds from any fixed moment; None if unknown
    dataset: str = ""  # name of its dataset among joined ones; "" in training on one dataset, and in every test set


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of both modalities. Results must not depend on their order."""

    images: Tensor  # (B, 3, height, width), uint8 from the loader, normalized float in the model
    labels: Tensor  # (B,) int64
    modality: Tensor  # (B,) int64, a Modality
    cameras: Tensor  # (B,) int64
    view: Tensor  # (B,) int64, 0 unless a loader makes extra views
    index: Tensor  # (B,) int64, row in the dataset
    attributes: Tensor | None = None  # (B, A) float in [0, 1]
    attributes_known: Tensor | None = None  # (B, A) bool; True for annotated entries
    visible: int | None = None  # number of visible rows, if these come first and the number is known on the host
    host: tuple[Tensor, Tensor] | None = None  # modality and view on the CPU, kept when the batch moves to a device

    def __len__(self) -> int:
        return len(self.labels)

    def _map(
        self, change: Callable[[Tensor], Tensor], visible: int | None, host: tuple[Tensor, Tensor] | None
    ) -> Batch:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **changed, visible=visible, host=host)

    def to(self, device: torch.device | str) -> Batch:
        """Copy the batch to another device, without waiting for the copies.

        Visible rows are counted before the batch leaves the host, because reading a value from a device synchronizes.
        """
        visible = _leading_visible(self.modality) if self.visible is None else self.visible
        host = (self.modality, self.view) if self.modality.device.type == "cpu" else self.host
        return self._map(lambda value: value.to(device, non_blocking=True), visible, host)

    def host_columns(self) -> tuple[Tensor, Tensor]:
        """Modality and view on the CPU, (B,) each; synchronizes only if the batch never was on the CPU."""
        return self.host or (self.modality.cpu(), self.view.cpu())

    def select(self, rows: Tensor | slice) -> Batch:
        """Select or reorder rows: (N,) int64 or bool, or a slice."""
        return self._map(lambda value: value[rows], None, None)

    def with_images(self, images: Tensor) -> Batch:
        """Replace the images; the rows stay the same."""
        return replace(self, images=images)


def _leading_visible(modality: Tensor) -> int | None:
    """Number of visible rows, if modality is on the CPU and the visible rows precede the infrared rows."""
    if modality.device.type != "cpu":
        return None
    count = int((modality == Modality.VISIBLE).sum())
    expected = torch.full_like(modality, Modality.INFRARED)
    expected[:count] = Modality.VISIBLE
    return count if torch.equal(modality, expected) else None


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """Output of a model for a batch: named fields (`core.fields`), and the batch row of each feature row."""

    values: Mapping[str, Tensor]
    source: Tensor | None = None  # (R,) batch row of each feature row; None means the same rows


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """Numbers known only at run time. Constructors receive them by parameter name; configs never contain them."""

    num_ids: int = 0
    num_cameras: int = 0
    num_attributes: int = 0
    channels: int = 0  # of the backbone's map
    feature_dim: int = 0  # width of the field that the part reads


@dataclass(slots=True)
class Progress:
    """Position of a run in its training; stored in every checkpoint."""

    epoch: int = 0  # finished epochs
    step: int = 0  # optimizer steps over all epochs
    last_epoch: Mapping[str, float] = field(default_factory=dict)  # mean of each term in the last finished epoch


@dataclass(frozen=True)
class EmbeddingTable:
    """Embeddings of a list of images, with labels, cameras, modality and conditions."""

    embeddings: np.ndarray  # (N, D) float32, L2-normalized rows
    labels: np.ndarray  # (N,) int64
    cameras: np.ndarray  # (N,) int64
    modality: np.ndarray  # (N,) int64
    conditions: Mapping[str, str] = field(default_factory=dict)  # feature, attribute source, flips, checkpoint
    samples: Sequence[Sample] | None = None  # of each row, for protocols that need file names or times
    camera_names: Mapping[int, str] = field(default_factory=dict)  # number -> name, where cameras have names
    # (3, N, D): embeddings of the images with channel R, G or B alone in all channels; those of infrared images are 0
    channel_views: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Trial:
    """One evaluation: query rows, gallery rows and ignored (junk) pairs."""

    name: str
    query: np.ndarray  # (Q,) row numbers
    gallery: np.ndarray  # (G,) row numbers
    junk: Callable[[np.ndarray, np.ndarray], np.ndarray]  # (query rows, gallery rows) -> (Q, G) bool, True: ignored
