"""Comparison of an exported file with the network that it was made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vireid.core.errors import UserError
from vireid.data.images.image_files import find_images
from vireid.embedder.description import ModelDescription
from vireid.embedder.embedder import Embedder
from vireid.embedder.images import pixel_batches
from vireid.embedder.pixel_model import NetworkModel, PixelModel
from vireid.models.cross_modality_net import CrossModalityNet

MOST_IMAGES = 64
NOISE_IMAGES = 8
NOISE = "built-in noise"
LOWEST_COSINE = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.9}  # of an image; below it no file is written


@dataclass(frozen=True)
class Parity:
    """Differences of the embeddings of an exported file and of the network in float32.

    Args:
        images: Number of images; each was embedded once for each modality of the file.
        source: Where the images are from.
        cosine_min: Smallest cosine similarity of the two embeddings of an image.
        cosine_mean: Mean of these similarities.
        difference_max: Largest difference of two entries.
    """

    images: int
    source: str
    cosine_min: float
    cosine_mean: float
    difference_max: float

    def to_json(self) -> dict[str, Any]:
        """Values for the metadata of a file."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.images} images ({self.source}): smallest cosine {self.cosine_min:.6f}, mean {self.cosine_mean:.6f},"
            f" largest difference {self.difference_max:.1e}"
        )


def measure_parity(
    model: PixelModel,
    network: CrossModalityNet,
    described: ModelDescription,
    pixels: np.ndarray,
    *,
    modality: str,
    source: str,
) -> Parity:
    """Embed images (N, H, W, 3) uint8 with an exported file and with the network on the CPU, and compare.

    The last batch has another number of images than the others.
    """
    kinds = ("visible", "infrared") if modality == "both" else (modality,)
    batch = max(len(pixels) - 1, 1)
    exported = Embedder(model, described, batch=batch)
    reference = Embedder(NetworkModel(network, described, torch.device("cpu")), described, batch=batch)
    rows, expected = (
        np.concatenate([embedder(pixels, modality=kind, progress=False) for kind in kinds]).astype(np.float64)
        for embedder in (exported, reference)
    )
    cosines = (rows * expected).sum(axis=1) / (np.linalg.norm(rows, axis=1) * np.linalg.norm(expected, axis=1))
    return Parity(
        images=len(pixels),
        source=source,
        cosine_min=float(cosines.min()),
        cosine_mean=float(cosines.mean()),
        difference_max=float(np.abs(rows - expected).max()),
    )


def require_parity(parity: Parity, precision: str, file: Path) -> None:
    """Raise UserError if the embeddings differ by more than the precision allows."""
    lowest = LOWEST_COSINE[precision]
    if not parity.cosine_min >= lowest:  # also for NaN
        hint = "another precision or more calibration images" if precision != "fp32" else "another --opset or --format"
        raise UserError(
            f"{file}: was not written, because its embeddings differ from those of the network: {parity}; {precision}"
            f" must have at least {lowest}: try {hint}"
        )


def noise_images(size: tuple[int, int]) -> np.ndarray:
    """Deterministic images (N, H, W, 3) uint8: noise at several scales, the same for each call."""
    rng, (height, width) = np.random.default_rng(0), size
    images = np.zeros((NOISE_IMAGES, height, width, 3))
    for side in (1, 4, 16):
        coarse = rng.random((NOISE_IMAGES, -(-height // side), -(-width // side), 3))
        images += coarse.repeat(side, axis=1).repeat(side, axis=2)[:, :height, :width]
    return np.rint(images / 3 * 255).astype(np.uint8)


def folder_images(folder: Path, described: ModelDescription, *, parameter: str, most: int = MOST_IMAGES) -> np.ndarray:
    """Read images of a folder and its subfolders, evenly chosen if there are more than `most`: (N, H, W, 3) uint8.

    Raises:
        UserError: If the folder has no images.
        DataError: With the images that cannot be read.
    """
    paths = sorted(find_images(folder)[0]) if folder.is_dir() else []
    if not paths:
        raise UserError(f"{parameter} {folder}: is not a folder with images; name a folder with person images")
    chosen = [paths[round(number)] for number in np.linspace(0, len(paths) - 1, min(most, len(paths)))]
    batches = pixel_batches(chosen, described.size, batch=64, depth=described.depth_mapping())
    return np.concatenate(list(batches))
