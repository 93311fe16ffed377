"""Test images described together with their mirror images."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from vireid.core.types import Batch

Describe = Callable[[Batch], Tensor]


def mirrored(batch: Batch) -> Batch:
    """The same rows with left and right exchanged, on their device."""
    return batch.with_images(batch.images.flip(-1))


def with_mirror(describe: Describe) -> Describe:
    """A `describe` that adds the description of the mirror image to that of the image.

    Shapes as the given one, Batch -> (B, D) unit rows; the result has lengths between 0 and 2. Made unit again, it is
    the mean of both at length 1 (CAJ's test); left as it is, an image whose mirror image looks different to the
    network counts less (DEEN's test).
    """
    return lambda batch: describe(batch) + describe(mirrored(batch))
