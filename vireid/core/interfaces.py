"""Interfaces of the parts, as structural types (`typing.Protocol`). A part does not have to inherit from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from vireid.core.pseudo_labels import PseudoLabels
from vireid.core.types import DatasetInfo, EmbeddingTable, Progress, Sample, Trial


class Backbone(Protocol):
    """Images of both modalities to a feature map."""

    channels: int

    def __call__(self, images: Tensor, modality: Tensor) -> tuple[Tensor, Tensor | None]:
        """Compute the map (R, C, H, W) of images (B, 3, h, w), and the batch row of each output row, or None.

        A backbone with a third parameter `visible` receives `Batch.visible`. A backbone with several rows for each
        image declares `provides = frozenset({"branch", "source"})`, so that heads and losses can request them. One with
        a fourth parameter `cameras` receives `Batch.cameras`. A backbone with further fields, such as `class_token`,
        declares them in `provides` and their widths in `dims`, and returns them as a mapping in third place.
        """
        ...


class Pool(Protocol):
    """Feature map to one vector for each row."""

    def __call__(self, feature_map: Tensor) -> Tensor:
        """Pool a map, (R, C, H, W) -> (R, C)."""
        ...


class AttributeStage(Protocol):
    """Stage of progressive attribute embedding (Emb1, Emb2, Emb3 and variants)."""

    def __call__(self, tokens: Tensor, feature_map: Tensor, attributes: Tensor) -> Tensor:
        """Compute new tokens: (R, T, C), (R, C, H, W), (R, A) -> (R, T', C). T starts at 1; Emb3 makes it A."""
        ...


class Adapter(Protocol):
    """Rewrite the feature map between backbone and heads. Plain baselines have none."""

    provides: frozenset[str]

    def __call__(
        self, pooled: Tensor, feature_map: Tensor, attributes: Tensor
    ) -> tuple[Tensor, Mapping[str, Tensor]]: ...


class Head(Protocol):
    """Fields to further fields. The parameter names of `forward` are the requested fields.

    `training_only` fields are not computed in evaluation.
    """

    provides: frozenset[str]
    dims: Mapping[str, int]  # width of each provided field

    def __call__(self, **fields: Tensor) -> Mapping[str, Tensor]: ...


class Loss(Protocol):
    """Fields to one scalar or several named scalars. The parameter names of `forward` are the requested fields."""

    def __call__(self, **fields: Tensor) -> Tensor | Mapping[str, Tensor]: ...


@runtime_checkable
class ScaledSchedule(Protocol):
    """Learning-rate schedule whose factor depends on the scale of the parameter group.

    `for_scale` returns the rate of a group of that scale (SOLVER.LR_SCALE) as a share of the base rate. The call
    returns that of scale 1.
    """

    def __call__(self, epoch: int) -> float: ...

    def for_scale(self, epoch: int, scale: float) -> float: ...


@runtime_checkable
class HasLayers(Protocol):
    """Backbone that numbers its layers, for SOLVER.LAYER_DECAY.

    `layers` returns the module paths of each layer inside the backbone, from the input on. The modality-specific copies
    of a layer have one number. Paths that no layer has are those of new modules.
    """

    def layers(self) -> Sequence[Sequence[str]]: ...


@runtime_checkable
class Measures(Protocol):
    """Loss with further values for the log, which have no gradient.

    `measure` receives the fields of the loss. NaN means that the batch has nothing to measure.
    """

    def measure(self, **fields: Tensor) -> Mapping[str, Tensor]: ...


@runtime_checkable
class HasIdentityTensors(Protocol):
    """Part with state tensors that have an axis of training identities: classifiers, memory banks, centers.

    `identity_tensors` has their names as in the `state_dict` of the part. A submodule declares its own names, so a part
    does not repeat them (`core.identity_tensors` collects all). Every other tensor must have the same shape for any
    number of identities.
    """

    identity_tensors: frozenset[str]


class TermSchedule(Protocol):
    """Factor of a loss term during training."""

    def __call__(self, progress: Progress) -> float: ...


class EpochContext(Protocol):
    """Data that a part may request at the start of an epoch."""

    progress: Progress
    samples: Sequence[Sample]  # training set: paths, labels, attributes; no images
    labels: PseudoLabels | None  # of this epoch, where LABELS makes them; then samples have the identity -1

    def training_features(self, view: int = 0, flips: Literal["none", "mean"] = "none") -> EmbeddingTable:
        """Extract the embeddings of the training set as in evaluation; computed once for each epoch, view and flips.

        Args:
            view: 0: every training image, without augmentation. Another view (an entry of VIEWS, the first is 1): the
                images that have it, in this view, without any other augmentation.
            flips: "mean": the mean of the embeddings of the image and of its mirror image, which is not L2-normalized.
        """
        ...


@runtime_checkable
class StartsEpoch(Protocol):
    """Part that refreshes its state from the training set before each epoch (memories)."""

    def start_epoch(self, context: EpochContext) -> None: ...


@runtime_checkable
class AssignsLabels(Protocol):
    """Label source that makes the training labels of each epoch itself; the training does not see identities.

    Attributes:
        flips: Embeddings that it needs, as in `EpochContext.training_features`.
    """

    flips: Literal["none", "mean"]

    def assign(self, table: EmbeddingTable) -> PseudoLabels:
        """Return the labels of the training images from their embeddings; called in the main process."""
        ...


@runtime_checkable
class TakesLabels(Protocol):
    """Sampler of pseudo labels, which change in each epoch."""

    def set_labels(self, labels: np.ndarray) -> None:
        """Draw from these labels, (N,) int64, -1 for images that take no part; called before `set_epoch`."""
        ...


@runtime_checkable
class ReportsEpoch(Protocol):
    """Part that reports numbers about the start of an epoch for the log, such as matched clusters."""

    @property
    def epoch_report(self) -> Mapping[str, float]:
        """Numbers by name; read after `start_epoch`."""
        ...


class Dataset(Protocol):
    """Dataset on disk. It lists images and opens none."""

    def train(self) -> Sequence[Sample]:
        """List the training images; identities are contiguous from 0."""
        ...

    def facts(self) -> DatasetInfo:
        """Return the numbers of identities, cameras and attributes of the files on disk."""
        ...

    def test(self) -> Sequence[Sample]:
        """List every image that a protocol may use as query or gallery; identities as the dataset numbers them."""
        ...


@runtime_checkable
class Identified(Protocol):
    """Dataset that declares what a checkpoint must agree in: {"data": "RegDB", "split": 3}."""

    @property
    def checkpoint_key(self) -> Mapping[str, Any]:
        """Plain values: the name of the dataset, and its split if it has several. Opens no file."""
        ...


@runtime_checkable
class TestsOnePart(Protocol):
    """Dataset joined from several ones, whose test images are those of one of them."""

    @property
    def test_key(self) -> Mapping[str, Any]:
        """`Identified.checkpoint_key` of the dataset of the test images."""
        ...


@runtime_checkable
class NamesCameras(Protocol):
    """Dataset whose cameras have names: protocols accept the names, reports print them."""

    @property
    def camera_names(self) -> Mapping[int, str]:
        """Camera number -> name; empty if cameras have no names. May raise DataError, as `train` does."""
        ...


@runtime_checkable
class ConditionsOnTable(Protocol):
    """Evaluation protocol whose conditions depend on the test images."""

    def conditions_on(self, table: EmbeddingTable) -> Mapping[str, str | int]:
        """The protocol's `conditions`, with camera names next to numbers."""
        ...


@runtime_checkable
class RemarksOnTable(Protocol):
    """Evaluation protocol that reports settings or rules without effect on the test images."""

    def remarks_on(self, table: EmbeddingTable) -> Sequence[str]:
        """Return one sentence for each setting or rule without effect on these images."""
        ...


class GalleryIndex(Protocol):
    """Nearest-neighbor index: find the most similar of many rows.

    Rows are L2-normalized. Their ids are 0, 1, ... in the order in which they were added.
    """

    @property
    def exact(self) -> bool:
        """Whether the search is exact, or approximate."""
        ...

    @property
    def description(self) -> str:
        """Name and arguments, as printed with the conditions of a number."""
        ...

    def __len__(self) -> int: ...

    def add(self, features: np.ndarray) -> None:
        """Add rows, (G, D) float32."""
        ...

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Find the k most similar rows of each query.

        Args:
            queries: (Q, D).
            k: Number of neighbors.
            allowed: (G,) bool; rows with False are excluded.

        Returns:
            Cosine similarities and ids, (Q, k), best first, equal similarities by id; -inf and -1 if fewer rows exist.
        """
        ...

    def save(self, path: Path) -> None:
        """Write the index to a file that `load` of an index with the same arguments reads."""
        ...

    def load(self, path: Path) -> None: ...


@runtime_checkable
class TrainedIndex(Protocol):
    """Index that is trained on the vectors it holds (centers of lists, codes, directions)."""

    growth: float  # holding more than this times the vectors of its training, the index has outgrown it

    @property
    def trained_on(self) -> int | None:
        """Number of vectors of the training: 0 if nothing was trained, None if a file does not record it."""
        ...

    @property
    def limit(self) -> int | None:
        """Number of vectors up to which the training counts; None: the index has no training to outgrow."""
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


class SimilarityFunction(Protocol):
    """Fills the query-gallery matrix of similarities; larger is closer."""

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """(Q, D), (G, D) float32 rows -> (Q, G) float32."""
        ...


class Reranker(Protocol):
    """Re-ranking: similarities that also depend on the neighbors of queries and gallery.

    Attributes:
        transductive: What the result of a query uses besides the query and one gallery image, such as "the gallery and
            the other queries". Optional; without it this is assumed. It is a condition of every result.
        chosen_on: Data on which the arguments were chosen, such as "the test set". Optional; a condition if it is set.
        channel_views: Whether a side of visible images is passed with the embeddings of its single channels, as
            (4, N, D): the images, then channel R, G and B alone. Optional; without it both sides are matrices.
    """

    @property
    def description(self) -> str:
        """Name and arguments, as printed with the conditions of a number."""
        ...

    def __call__(self, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        """Compute (Q, D), (G, D) -> (Q, G) float, larger is closer; values depend on all queries and gallery rows."""
        ...


class RetrievalProtocol(Protocol):
    """Evaluation protocol: query rows, gallery rows and ignored (junk) pairs."""

    def trials(self, table: EmbeddingTable) -> Iterator[Trial]:
        """Yield the trials: row numbers and junk rule; opens no image."""
        ...
