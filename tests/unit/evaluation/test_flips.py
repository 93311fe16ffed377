from __future__ import annotations

import numpy as np
import torch

from vireid.core.types import Batch
from vireid.evaluation import extract_features
from vireid.evaluation.flips import mirrored, with_mirror


def batch() -> Batch:
    zeros = torch.zeros(4, dtype=torch.long)
    images = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    return Batch(images, zeros, zeros, zeros, zeros, torch.arange(4))


def describe(rows: Batch) -> torch.Tensor:
    flat = rows.images.flatten(1)
    return flat / flat.norm(dim=1, keepdim=True)


def test_only_columns_are_exchanged():
    given = batch()
    for row, image in enumerate(mirrored(given).images):
        for column in range(6):
            assert torch.equal(image[:, :, column], given.images[row, :, :, 5 - column])


def test_unit_rows_are_the_mean_of_both_at_length_one():
    table = extract_features(with_mirror(describe), [batch()])
    for row, image in enumerate(batch().images.numpy()):
        flat, other = image.ravel(), image[:, :, ::-1].ravel()
        mean = (flat / np.linalg.norm(flat) + other / np.linalg.norm(other)) / 2
        np.testing.assert_allclose(table.embeddings[row], mean / np.linalg.norm(mean), atol=1e-6)


def test_sums_keep_their_lengths():
    table = extract_features(with_mirror(describe), [batch()], unit=False)
    lengths = np.linalg.norm(table.embeddings, axis=1)
    assert lengths.std() > 0.01
    assert (lengths < 2).all()
    unit = extract_features(with_mirror(describe), [batch()]).embeddings
    np.testing.assert_allclose(table.embeddings / lengths[:, None], unit, atol=1e-6)
