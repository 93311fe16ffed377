from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from vireid.core.types import Modality, Sample
from vireid.data.samplers import DistinctImageSampler, IdentityModalitySampler

COUNTS = {(0, 0): 3, (0, 1): 5, (1, 0): 9, (1, 1): 4, (2, 0): 4, (2, 1): 3}


def samples():
    keys = [key for key, count in COUNTS.items() for _ in range(count)]
    return [Sample(Path(f"{n}.png"), identity, Modality(kind), camera=kind) for n, (identity, kind) in enumerate(keys)]


def test_no_batch_contains_an_image_twice():
    rows, images = DistinctImageSampler(samples(), identities=2, per_modality=3, steps=50).rows(), samples()
    assert rows.shape == (50, 12)
    for batch in rows.tolist():
        assert len(set(batch)) == 12
        groups = Counter((images[row].identity, images[row].modality) for row in batch)
        assert list(groups.values()) == [3] * 4


def test_every_image_is_equally_probable():
    rows = DistinctImageSampler(samples(), identities=3, per_modality=3, steps=2000).rows()
    expected = [2000 * 3 / count for count in COUNTS.values() for _ in range(count)]
    np.testing.assert_allclose(np.bincount(rows.reshape(-1)), expected, rtol=0.15)


def test_epochs_differ_and_repeat():
    sampler = DistinctImageSampler(samples(), identities=2, per_modality=2, seed=1)
    first = sampler.rows()
    sampler.set_epoch(1)
    assert not np.array_equal(sampler.rows(), first)
    sampler.set_epoch(0)
    np.testing.assert_array_equal(sampler.rows(), first)


def test_two_processes_share_the_batch_of_one():
    options = {"identities": 2, "per_modality": 3, "seed": 4}
    whole = DistinctImageSampler(samples(), **options).rows()
    parts = [DistinctImageSampler(samples(), rank=rank, world=2, **options).rows() for rank in (0, 1)]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts, axis=1), axis=1), np.sort(whole, axis=1))


def test_too_few_images_are_reported_in_both_modalities():
    with pytest.raises(ValueError, match=r"PER_MODALITY = 4: 1 training identity has fewer than 4 visible images") as e:
        DistinctImageSampler(samples(), identities=2, per_modality=4)
    assert "(labels 0); 1 training identity has fewer than 4 infrared images (labels 2)" in str(e.value)
    IdentityModalitySampler(samples(), identities=2, per_modality=4)  # repeats images instead
