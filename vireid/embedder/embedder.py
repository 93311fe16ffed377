"""Images to embeddings with a trained model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, overload

import numpy as np
import torch
from torch import Tensor, nn

from vireid.core.arrays import embedding_matrices, embedding_matrix, l2_normalized_rows
from vireid.core.errors import ArgumentError, UserError
from vireid.core.progress import progress_bar
from vireid.core.types import Batch
from vireid.embedder.description import ModelDescription
from vireid.embedder.images import Images, OneImage, count_images, pixel_batches, whole_image
from vireid.embedder.modality import check_modality, modality_rows
from vireid.embedder.pixel_model import NetworkModel, PixelModel
from vireid.engine.distributed import Environment
from vireid.evaluation.open_set.decision import DecisionRule
from vireid.evaluation.report import is_oracle
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.retrieval.ranking import Ranking, rank_rows

_QUERIES = 1024  # rows of a similarity matrix that are computed at a time


class Embedder:
    """Embeddings of images by a trained model; made by `vireid.load`.

    Images are decoded, turned upright and resized as in training, so that an embedding equals that of an evaluation of
    the run up to rounding. Embeddings are always L2-normalized.

    Args:
        network: The network with its weights, or another `PixelModel`, such as an exported file.
        description: Its settings and what is known of it.
        environment: Device and precision; ignored for a `PixelModel`, which has its device.
        batch: Images in a batch.

    Raises:
        UserError: If the network reads attribute labels, which images outside of a dataset do not have.

    Example:
        embedder = vireid.load("runs/sysu/mmd")
        queries = embedder(["night_1.png", "night_2.png"], modality="infrared")
        gallery = embedder(sorted(Path("day").glob("*.jpg")), modality="visible")
        ranking = embedder.rank(queries, gallery, k=5)
    """

    def __init__(
        self,
        network: CrossModalityNet | PixelModel,
        description: ModelDescription,
        environment: Environment | None = None,
        *,
        batch: int = 64,
    ) -> None:
        if batch < 1:
            raise ArgumentError("batch", f"must be at least 1, got {batch}")
        self.description, self.environment, self.batch = description, environment, batch
        self.model = _network_model(network, description, environment) if isinstance(network, nn.Module) else network

    @property
    def network(self) -> CrossModalityNet:
        """The network; UserError if the model is an exported file, which has none."""
        return self.model.network

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return self.model.device

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights and the pre-processing; embeddings of equal fingerprints can be compared."""
        return self.model.fingerprint

    @property
    def decision(self) -> DecisionRule | None:
        """Thresholds and calibration of the similarities; None if `vireid threshold` did not choose them."""
        return self.description.decision

    @property
    def width(self) -> int:
        """Width D of an embedding."""
        return self.model.width

    @overload
    def __call__(
        self, images: Images, *, modality: str, progress: bool = ..., output: Literal["numpy"] = ...
    ) -> np.ndarray: ...

    @overload
    def __call__(self, images: Images, *, modality: str, progress: bool = ..., output: Literal["torch"]) -> Tensor: ...

    def __call__(
        self, images: Images, *, modality: str, progress: bool = True, output: Literal["numpy", "torch"] = "numpy"
    ) -> np.ndarray | Tensor:
        """Compute the embeddings of images.

        Args:
            images: One image or many: paths, Pillow images, uint8 arrays (H, W, 3) or (N, H, W, 3) in RGB order,
                tensors (3, H, W) or (N, 3, H, W) of uint8 or of floats in [0, 1], or an iterable or generator of these.
            modality: "infrared" or "visible", of all images; "auto": the gray-level test of
                `embedder.modality.looks_infrared` for each image.
            progress: Show the progress, if the number of images is known.
            output: "numpy" or "torch" (on the CPU).

        Returns:
            (N, D) float32, L2-normalized, in the order of the images.

        Raises:
            DataError: With the images that cannot be read.
            ArgumentError: If a value is not an image, or `modality` or `output` is unknown.
        """
        if output not in ("numpy", "torch"):
            raise ArgumentError("output", f"must be 'numpy' or 'torch', got {output!r}")
        check_modality(modality)
        total = count_images(images)
        with progress_bar(total or 0, "embedding images", show=progress and bool(total)) as advance:
            pixels = pixel_batches(
                images, self.description.size, batch=self.batch, depth=self.description.depth_mapping()
            )
            first = next(pixels, None)
            if first is None:
                rows = np.zeros((0, self.width), np.float32)
            else:
                rows = self.model.embed(self._batches(first, pixels, modality, advance)).embeddings
        return torch.from_numpy(rows) if output == "torch" else rows

    @staticmethod
    def _batches(first: np.ndarray, others: Iterator[np.ndarray], modality: str, advance) -> Iterator[Batch]:
        """Make batches of the network; rows are sorted by modality, their index is the number of the image."""
        start, pixels = 0, first
        while pixels is not None:
            kinds = modality_rows(modality, pixels)
            order = np.argsort(kinds, kind="stable")
            zeros = torch.zeros(len(pixels), dtype=torch.int64)
            yield Batch(
                images=torch.from_numpy(pixels[order]).permute(0, 3, 1, 2),
                labels=zeros,
                modality=torch.from_numpy(kinds[order]),
                cameras=zeros,
                view=zeros,
                index=torch.from_numpy(order) + start,
            )
            advance(len(pixels))
            start += len(pixels)
            pixels = next(others, None)

    def crops(self, frame: OneImage, boxes: np.ndarray | Sequence[Sequence[float]], *, modality: str) -> np.ndarray:
        """Compute the embeddings of boxes of one image, such as the detections of a tracker.

        Args:
            frame: One image, as for `__call__`; with "auto" every box is tested separately.
            boxes: (N, 4) in pixels of the upright frame: left, top, right, bottom. The right and bottom edges are not
                included. Edges are rounded, and boxes are cut at the border of the frame.
            modality: As for `__call__`.

        Returns:
            (N, D) float32, L2-normalized.

        Raises:
            ArgumentError: With the first box that is not finite or has no pixel inside of the frame.
        """
        pixels = whole_image(frame, self.description.depth_mapping())
        height, width = pixels.shape[:2]
        edges = np.asarray(boxes, dtype=np.float64)
        if edges.size == 0:
            edges = edges.reshape(0, 4)
        if edges.ndim != 2 or edges.shape[1] != 4:
            raise ArgumentError("boxes", f"must be (N, 4): left, top, right, bottom; got the shape {edges.shape}")
        if not np.isfinite(edges).all():
            number = int((~np.isfinite(edges).all(axis=1)).argmax())
            raise ArgumentError(f"boxes[{number}]", f"must be finite, got {edges[number].tolist()}")
        limits = np.array([width, height, width, height])
        cut = np.clip(np.rint(edges), 0, limits).astype(np.int64)
        empty = (cut[:, 2] <= cut[:, 0]) | (cut[:, 3] <= cut[:, 1])
        if empty.any():
            number = int(empty.argmax())
            raise ArgumentError(
                f"boxes[{number}]",
                f"has no pixel inside of the frame of width {width} and height {height}, got {edges[number].tolist()};"
                " boxes are left, top, right, bottom",
            )
        parts = [pixels[top:bottom, left:right] for left, top, right, bottom in cut.tolist()]
        return self(parts, modality=modality, progress=False)

    def similarity(self, a: np.ndarray | Tensor, b: np.ndarray | Tensor) -> np.ndarray:
        """Compute cosine similarities of embeddings: (A, D), (B, D) -> (A, B) float32.

        Raises:
            UserError: If the arguments are not matrices of embeddings of one width.
        """
        return _rows("a", a) @ _rows("b", b, like=a).T

    def rank(self, queries: np.ndarray | Tensor, gallery: np.ndarray | Tensor, k: int = 10) -> Ranking:
        """Rank the gallery for each query by cosine similarity.

        Args:
            queries: Embeddings (Q, D).
            gallery: Embeddings (G, D).
            k: Number of gallery images to return, at most G.

        Returns:
            `ids` (Q, k) gallery rows and `scores` (Q, k), best first; equal scores by gallery row.

        Raises:
            UserError: If the arguments are not matrices of embeddings of one width, or the gallery is empty.
        """
        if k < 1:
            raise ArgumentError("k", f"must be at least 1, got {k}")
        left, right = embedding_matrices(_rows("queries", queries), _rows("gallery", gallery))
        starts = range(0, max(len(left), 1), _QUERIES)
        parts = [rank_rows(left[start : start + _QUERIES] @ right.T, k=k) for start in starts]
        return Ranking(np.concatenate([part.ids for part in parts]), np.concatenate([part.scores for part in parts]))


def _network_model(
    network: CrossModalityNet, description: ModelDescription, environment: Environment | None
) -> NetworkModel:
    assert environment is not None, "a network needs an environment"
    if is_oracle(network.conditions):
        raise UserError(
            "this model reads the attribute labels of test images (MODEL.ATTRIBUTES.TEST is 'labels'), and images"
            " outside of a dataset have none; use a run with MODEL.ATTRIBUTES.TEST predicted"
        )
    if getattr(network.backbone, "needs_cameras", False):
        raise UserError(
            f"this model needs the camera of each image (MODEL.BACKBONE.SIDE is {network.backbone.side!r}), and images"
            " outside of a dataset have none; use a run with MODEL.BACKBONE.SIDE none or modality"
        )
    return NetworkModel(network, description, environment.device, environment.autocast)


def _rows(name: str, rows: np.ndarray | Tensor, *, like: np.ndarray | Tensor | None = None) -> np.ndarray:
    """Embeddings (N, D) as L2-normalized float32 rows."""
    values = rows.detach().cpu().float().numpy() if isinstance(rows, Tensor) else np.asarray(rows)
    values = embedding_matrix(name, values, width=None if like is None else like.shape[1])
    return l2_normalized_rows(name, values.astype(np.float32))
