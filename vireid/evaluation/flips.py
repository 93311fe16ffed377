"""Horizontal-flip test-time augmentation."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from vireid.core.types import Batch

Describe = Callable[[Batch], Tensor]


def mirrored(batch: Batch) -> Batch:
    """Flip the images of a batch horizontally."""
    return batch.with_images(batch.images.flip(-1))


def with_mirror(describe: Describe) -> Describe:
    """Return a `describe` that adds the embeddings of an image and of its horizontal flip.

    The result has norms between 0 and 2. Normalized again, it is the mean of both embeddings (test of CAJ). Without
    normalization, an image whose flip has a different embedding has a smaller norm and so a smaller weight (test of
    DEEN).

    Shape:
        As the function it takes: a batch -> (B, D), L2-normalized.
    """
    return lambda batch: describe(batch) + describe(mirrored(batch))
