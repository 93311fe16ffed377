"""Extract the embedding of every test image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from vireid.core.errors import DataError
from vireid.core.types import Batch, EmbeddingTable

Columns = dict[str, np.ndarray]


def extract_features(
    describe: Callable[[Batch], Tensor],
    batches: Iterable[Batch],
    *,
    device: torch.device | str = "cpu",
    prepare: Callable[[Batch], Batch] | None = None,
    autocast: Callable[[], AbstractContextManager] = nullcontext,
    gather: Callable[[Columns], Sequence[Columns]] | None = None,
    conditions: Mapping[str, str] | None = None,
    unit: bool = True,
) -> EmbeddingTable:
    """Compute embeddings in the order of the dataset, each image once.

    Args:
        describe: Function from a batch to embeddings (B, D), L2-normalized if `unit`.
        batches: Batches of the loader (uint8 images).
        device: Device that the batches are moved to.
        prepare: Function from a batch on the device to the batch that `describe` takes.
        autocast: Factory of the context in which `describe` runs. Embeddings are normalized again in float32, because
            lower precision rounds their norm.
        gather: Function from the columns of this process to those of all processes (such as accelerate's
            `gather_object`). An image that several processes embedded to fill their batches is kept once.
        conditions: Conditions of the table.
        unit: L2-normalize the rows; False keeps the norms that `describe` returns.

    Raises:
        DataError: If an embedding is not finite or zero, with the first such image; if there are no images.
    """
    kept: list[tuple[Tensor, Batch]] = []
    with torch.no_grad():
        for batch in batches:
            batch = batch.to(device)
            with autocast():
                features = describe(prepare(batch) if prepare else batch)
            assert features.shape[0] == len(batch), "`describe` must return one row for each image"
            kept.append((features.float(), batch.with_images(batch.images[:0])))
    if not kept:
        raise DataError("there are no test images: check DATA and the test split")
    columns = {
        "features": torch.cat([features for features, _ in kept]).cpu().numpy(),
        **{
            name: torch.cat([getattr(batch, name) for _, batch in kept]).cpu().numpy()
            for name in ("index", "labels", "cameras", "modality")
        },
    }
    if gather is not None:
        parts = gather(columns)
        columns = {name: np.concatenate([part[name] for part in parts]) for name in columns}
    _, once = np.unique(columns["index"], return_index=True)  # sorted by index
    columns = {name: values[once] for name, values in columns.items()}
    length = _lengths(columns["features"], columns["index"])
    return EmbeddingTable(
        embeddings=columns["features"] / length if unit else columns["features"],
        labels=columns["labels"],
        cameras=columns["cameras"],
        modality=columns["modality"],
        conditions=dict(conditions or {}),
    )


def _lengths(features: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the norms of rows (N, 1); DataError if one is zero or not finite."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    bad = ~(np.isfinite(length) & (length > 0))[:, 0]
    if bad.any():
        raise DataError(
            f"the embedding of test image {int(index[bad.argmax()])} is zero or not finite"
            f" ({int(bad.sum())} of {len(bad)} images): check the weights and the images"
        )
    return length
