"""Training identities that are kept out of training, to choose a checkpoint without looking at the test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vireid.core.errors import DataError
from vireid.core.rng import numpy_generator
from vireid.core.types import Sample

_STREAM = 0x48454C44  # key of these draws beside the seed


def hold_out(samples: Sequence[Sample], *, identities: int, seed: int) -> tuple[list[int], list[int]]:
    """Rows of the training samples of those who stay, and of `identities` drawn people who do not.

    The draw is a function of the seed and the labels.
    Errors: DataError where fewer than two people would stay.
    """
    if not identities:
        return list(range(len(samples))), []
    labels = sorted({sample.identity for sample in samples})
    if identities > len(labels) - 2:
        raise DataError(
            f"HELDOUT_IDENTITIES = {identities}, but the training set has only {len(labels)} identities and at least"
            f" two must stay; set it to {max(0, len(labels) - 2)} or less"
        )
    held = set(numpy_generator(seed, _STREAM).choice(labels, identities, replace=False).tolist())
    staying = [row for row, sample in enumerate(samples) if sample.identity not in held]
    return staying, [row for row, sample in enumerate(samples) if sample.identity in held]


def relabelled(samples: Sequence[Sample]) -> list[Sample]:
    """The same samples, their identities renumbered 0 .. C - 1 in order."""
    label = {old: new for new, old in enumerate(sorted({sample.identity for sample in samples}))}
    return [replace(sample, identity=label[sample.identity]) for sample in samples]
