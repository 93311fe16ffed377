"""Describe every test image once."""

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
    """Rows in the order of the data set, each image once.

    `describe`: Batch -> (B, D) unit rows. `prepare` turns a batch of the loader (uint8 images) into what `describe`
    takes, after the batch has moved to `device`. `autocast` makes the context that `describe` runs in; rows are made
    unit again in float32, because lower precision leaves them off by its rounding.
    `gather`: this process's columns -> those of all processes (e.g. accelerate's gather_object of one); an image that
    several processes described to fill their batches is kept once.
    Without `unit` rows keep the lengths that `describe` gave them.
    Errors: `DataError` naming the first image whose description is not finite or is zero, or if there are no images.
    """
    kept: list[tuple[Tensor, Batch]] = []
    with torch.no_grad():
        for batch in batches:
            batch = batch.to(device)
            with autocast():
                features = describe(prepare(batch) if prepare else batch)
            assert features.shape[0] == len(batch), "describe must give one row for each image"
            kept.append((features.float(), batch.with_images(batch.images[:0])))
    if not kept:
        raise DataError("there are no test images to describe")
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
    """(N, 1) lengths of rows; DataError where one is zero or not finite."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    bad = ~(np.isfinite(length) & (length > 0))[:, 0]
    if bad.any():
        raise DataError(
            f"the description of test image {int(index[bad.argmax()])} is zero or not finite"
            f" ({int(bad.sum())} of {len(bad)} images): the weights or the image are broken"
        )
    return length
