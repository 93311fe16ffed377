"""Held-out identities: a part of the training identities, to select a checkpoint without the test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vireid.core.errors import DataError
from vireid.core.rng import numpy_generator
from vireid.core.types import Sample
from vireid.data.proportions import proportional_counts

_STREAM = 0x48454C44  # key of these draws, in addition to the seed


def hold_out(samples: Sequence[Sample], *, identities: int, seed: int) -> tuple[list[int], list[int]]:
    """Split training rows into those of the remaining identities and those of held-out identities.

    Of joined datasets, each gives held-out identities in proportion to its number of identities.

    Args:
        samples: Training images.
        identities: Number of held-out identities, of all datasets together.
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
    of_dataset: dict[str, set[int]] = {}
    for sample in samples:
        of_dataset.setdefault(sample.dataset, set()).add(sample.identity)
    counts = proportional_counts(identities, [len(part) for part in of_dataset.values()])
    generator = numpy_generator(seed, _STREAM)
    heldout: set[int] = set()
    for part, count in zip(of_dataset.values(), counts):
        heldout.update(generator.choice(sorted(part), count, replace=False).tolist())
    remaining = [row for row, sample in enumerate(samples) if sample.identity not in heldout]
    return remaining, [row for row, sample in enumerate(samples) if sample.identity in heldout]


def without_identities(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples without annotation of persons: identity -1, no attributes."""
    return [replace(sample, identity=-1, attributes=None) for sample in samples]


def relabelled(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples with their identities renumbered 0 .. C - 1 in order."""
    label = {old: new for new, old in enumerate(sorted({sample.identity for sample in samples}))}
    return [replace(sample, identity=label[sample.identity]) for sample in samples]
