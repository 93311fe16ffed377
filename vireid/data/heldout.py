"""Held-out identities: a part of the training identities, to select a checkpoint without the test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vireid.core.errors import DataError
from vireid.core.rng import numpy_generator
from vireid.core.types import Sample

_STREAM = 0x48454C44  # key of these draws, in addition to the seed


def hold_out(samples: Sequence[Sample], *, identities: int, seed: int) -> tuple[list[int], list[int]]:
    """Split training rows into those of the remaining identities and those of held-out identities.

    Args:
        samples: Training images.
        identities: Number of held-out identities.
        seed: Random seed; the choice is a function of it and of the labels.

    Raises:
        DataError: If fewer than two identities would remain.
    """
    if not identities:
        return list(range(len(samples))), []
    labels = sorted({sample.identity for sample in samples})
    if identities > len(labels) - 2:
        raise DataError(
            f"HELDOUT_IDENTITIES = {identities}, but the training set has only {len(labels)} identities and at least"
            f" two must remain; set it to {max(0, len(labels) - 2)} or less"
        )
    heldout = set(numpy_generator(seed, _STREAM).choice(labels, identities, replace=False).tolist())
    remaining = [row for row, sample in enumerate(samples) if sample.identity not in heldout]
    return remaining, [row for row, sample in enumerate(samples) if sample.identity in heldout]


def relabelled(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples with their identities renumbered 0 .. C - 1 in order."""
    label = {old: new for new, old in enumerate(sorted({sample.identity for sample in samples}))}
    return [replace(sample, identity=label[sample.identity]) for sample in samples]
