"""Modality-blind identity sampler."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from vireid.core.errors import ArgumentError, DataError
from vireid.core.types import Modality, Sample
from vireid.data import IdentitySampler


def samples(counts: dict[int, tuple[int, int]]) -> list[Sample]:
    """Identity -> (visible, infrared) images."""
    return [
        Sample(Path("none"), identity, modality, camera=1 if modality == Modality.VISIBLE else 3)
        for identity, numbers in counts.items()
        for modality, number in zip(Modality, numbers)
        for _ in range(number)
    ]


MANY = samples(dict.fromkeys(range(6), (9, 4)))


def test_blocks_of_one_identity_and_no_image_twice():
    sampler = IdentitySampler(MANY, identities=3, per_identity=4)
    labels = np.array([sample.identity for sample in MANY])
    used = [row for batch in sampler for row in batch]
    assert len(set(used)) == len(used)
    for batch in sampler:
        assert sorted(Counter(labels[batch]).values()) == [4, 4, 4]
    assert len(sampler) == len(list(sampler)) == 6  # 13 images are 3 blocks, 18 blocks in batches of 3


def test_an_identity_with_few_images_repeats_them():
    rows = samples({0: (2, 0), 1: (1, 2), 2: (5, 5)})
    sampler = IdentitySampler(rows, identities=3, per_identity=8)
    batch = next(iter(sampler))
    assert Counter(rows[row].identity for row in batch) == {0: 8, 1: 8, 2: 8}
    assert len(sampler) == 1


def test_identities_of_one_modality_are_drawn_and_visible_rows_come_first():
    rows = samples({0: (0, 6), 1: (6, 0), 2: (3, 3)})
    for batch in IdentitySampler(rows, identities=3, per_identity=6):
        modality = [rows[row].modality for row in batch]
        assert modality == sorted(modality)


def test_a_function_of_seed_and_epoch():
    first, again = (IdentitySampler(MANY, identities=2, per_identity=4, seed=1) for _ in range(2))
    first.set_epoch(3)
    again.set_epoch(0)
    list(again)
    again.set_epoch(3)
    assert list(first) == list(again)


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_the_global_batch(world):
    whole = IdentitySampler(MANY, identities=4, per_identity=3, seed=5)
    parts = [
        IdentitySampler(MANY, identities=4, per_identity=3, seed=5, rank=rank, world=world) for rank in range(world)
    ]
    for batch, shares in zip(whole, zip(*parts, strict=True), strict=True):
        assert sorted(batch) == sorted(row for share in shares for row in share)


@pytest.mark.parametrize("steps", [2, 9])
def test_a_fixed_number_of_batches(steps):
    sampler = IdentitySampler(MANY, identities=4, per_identity=4, steps=steps)
    assert len(sampler) == len(list(sampler)) == steps


def test_errors():
    with pytest.raises(DataError, match="only 6 identities; set it to 6 or less"):
        IdentitySampler(MANY, identities=7, per_identity=2)
    with pytest.raises(DataError, match="no image"):
        IdentitySampler([], identities=1, per_identity=2)
    with pytest.raises(DataError, match="cannot be shared equally by 2 processes"):
        IdentitySampler(MANY, identities=3, per_identity=2, world=2)
    with pytest.raises(ArgumentError, match="per_identity must be at least 1"):
        IdentitySampler(MANY, identities=3, per_identity=0)
