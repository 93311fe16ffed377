from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from vireid.core.errors import DataError
from vireid.core.types import Modality, Sample
from vireid.data.samplers.block import IdentityBlockSampler, blocks_of, released_blocks


def samples(counts: dict[int, tuple[int, int]]) -> list[Sample]:
    """{identity: (visible, infrared)}, shuffled."""
    listed = [
        Sample(Path("x"), identity, modality, 1 if modality == Modality.VISIBLE else 3)
        for identity, numbers in counts.items()
        for modality, number in zip(Modality, numbers)
        for _ in range(number)
    ]
    return [listed[row] for row in np.random.default_rng(0).permutation(len(listed))]


COUNTS = {0: (9, 8), 1: (6, 12), 2: (4, 4), 3: (8, 9), 4: (5, 7)}


def test_each_batch_has_p_identities_and_k_images_of_each_modality_and_no_image_comes_twice():
    people = samples(COUNTS)
    sampler = IdentityBlockSampler(people, identities=3, per_modality=2, seed=1)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert max(Counter(row for rows in batches for row in rows).values()) == 1
    for rows in batches:
        chosen = [people[row] for row in rows]
        assert [s.modality for s in chosen] == [Modality.VISIBLE] * 6 + [Modality.INFRARED] * 6
        labels = [s.identity for s in chosen]
        assert labels[:6] == labels[6:]
        assert sorted(Counter(labels).values()) == [4] * 3


def test_an_epoch_goes_on_as_long_as_p_identities_have_blocks():
    sampler = IdentityBlockSampler(samples(COUNTS), identities=5, per_modality=2)
    assert len(sampler) == min(blocks_of(infrared, visible, 4) for visible, infrared in COUNTS.values())


def test_epochs_differ_and_repeat():
    people = samples(COUNTS)
    sampler = IdentityBlockSampler(people, identities=3, per_modality=2)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(IdentityBlockSampler(people, identities=3, per_modality=2, seed=5)) != first


def test_steps_takes_so_many_batches_from_several_passes():
    people = samples(COUNTS)
    natural = len(IdentityBlockSampler(people, identities=3, per_modality=2))
    long = IdentityBlockSampler(people, identities=3, per_modality=2, steps=2 * natural + 1)
    assert len(list(long)) == len(long) == 2 * natural + 1
    assert len(IdentityBlockSampler(people, identities=3, per_modality=2, steps=1)) == 1


def test_processes_share_the_identities_of_one_batch():
    people = samples(COUNTS)
    whole = IdentityBlockSampler(people, identities=4, per_modality=2).rows()
    halves = [IdentityBlockSampler(people, identities=4, per_modality=2, rank=r, world=2).rows() for r in (0, 1)]
    assert np.array_equal(np.sort(np.concatenate(halves, axis=1)), np.sort(whole))
    with pytest.raises(DataError, match="cannot be shared equally by 2 processes"):
        IdentityBlockSampler(people, identities=3, per_modality=2, world=2)


def test_few_images_of_both_modalities_are_drawn_with_replacement_and_of_one_skipped():
    """The release ends with an error where one modality alone has less than half a block."""
    counts = {0: (2, 1), 1: (8, 8), 2: (8, 1)}
    labels = np.array([s.identity for s in samples(counts)])
    infrared = np.array([s.modality == Modality.INFRARED for s in samples(counts)])
    drawn = released_blocks(labels, infrared, identities=1, rows=8, state=np.random.RandomState(0))
    blocks = [labels[rows].tolist() for rows in drawn]
    assert sorted(blocks) == [[0] * 8, [1] * 8, [1] * 8]
    assert all(infrared[rows].tolist() == [True, False] * 4 for rows in drawn)


def test_too_few_identities_with_blocks_is_one_clear_text():
    with pytest.raises(DataError, match=r"PER_MODALITY = 4: only 1 identities have so many images of each modality"):
        IdentityBlockSampler(samples({0: (9, 9), 1: (9, 3), 2: (2, 9)}), identities=2, per_modality=4)
