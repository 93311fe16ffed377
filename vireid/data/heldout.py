"""Training identities that are kept out of training, to choose a checkpoint without looking at the test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vireid.core.errors import DataError
from vireid.core.rng import numpy_generator
from vireid.core.types import Sample

_STREAM = 0x48454C44  # key of these draws beside the seed


def hold_out(samples: Sequence[Sample], *, identities: int, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Training samples -> those that stay, relabelled 0 .. C - 1, and those of `identities` drawn people.

    The draw is a function of the seed and the labels. Held-out samples keep their labels.
    Errors: DataError where fewer than two people would stay.
    """
    labels = sorted({sample.identity for sample in samples})
    if identities > len(labels) - 2:
        raise DataError(
            f"HELDOUT_IDENTITIES = {identities}, but the training set has only {len(labels)} identities and at least"
            f" two must stay; set it to {max(0, len(labels) - 2)} or less"
        )
    drawn = numpy_generator(seed, _STREAM).choice(labels, identities, replace=False)
    held = set(drawn.tolist())
    label = {old: new for new, old in enumerate(old for old in labels if old not in held)}
    staying = [replace(s, identity=label[s.identity]) for s in samples if s.identity in label]
    return staying, [sample for sample in samples if sample.identity in held]
