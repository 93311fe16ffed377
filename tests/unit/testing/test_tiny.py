from __future__ import annotations

import pytest
import torch

from vireid.core.fields import BATCH_FIELDS, FIELDS
from vireid.core.types import Modality
from vireid.testing import tiny_batch, tiny_field


def test_the_batch_has_every_identity_in_both_modalities_in_no_order():
    batch = tiny_batch(identities=3, per_modality=2)
    pairs = list(zip(batch.labels.tolist(), batch.modality.tolist()))
    assert sorted(pairs) == sorted([(i, int(m)) for i in range(3) for m in Modality for _ in range(2)])
    assert pairs != sorted(pairs)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch.images, tiny_batch(identities=3, per_modality=2).images)


@pytest.mark.parametrize("name", [*FIELDS, *BATCH_FIELDS])
def test_every_field_of_the_vocabulary_has_a_tiny_value(name):
    batch = tiny_batch()
    shape = (FIELDS | BATCH_FIELDS)[name].shape
    assert tiny_field(name, batch).dim() == len(shape)
    assert len(tiny_field(name, batch)) == len(batch)
