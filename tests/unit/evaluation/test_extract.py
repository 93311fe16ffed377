from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from vireid.core.errors import DataError
from vireid.core.types import Batch
from vireid.evaluation import extract_features


def batch_of(index):
    index = torch.as_tensor(index)
    images = index.view(-1, 1, 1, 1).expand(-1, 3, 2, 2).to(torch.uint8)
    zeros = torch.zeros_like(index)
    return Batch(images=images, labels=index * 10, modality=index % 2, cameras=index + 1, view=zeros, index=index)


def describe(batch):
    """A unit row that says which image it was."""
    angle = batch.images.float().flatten(1).mean(1) / 10
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def test_rows_are_in_the_order_of_the_data_set():
    table = extract_features(describe, [batch_of([4, 1]), batch_of([0, 3, 2])], conditions={"feature": "x"})
    np.testing.assert_allclose(table.embeddings[:, 1], np.sin(np.arange(5) / 10), atol=1e-6)
    assert table.labels.tolist() == [0, 10, 20, 30, 40]
    assert table.cameras.tolist() == [1, 2, 3, 4, 5]
    assert table.modality.tolist() == [0, 1, 0, 1, 0]
    assert table.embeddings.dtype == np.float32
    assert table.conditions == {"feature": "x"}


def test_prepare_and_autocast_wrap_describe():
    inside = []

    @contextmanager
    def autocast():
        inside.append("in")
        yield
        inside.append("out")

    def seen(batch):
        assert inside[-1] == "in"
        assert batch.images.dtype == torch.float32
        assert not torch.is_grad_enabled()
        return describe(batch)

    extract_features(
        seen, [batch_of([0, 1])], autocast=autocast, prepare=lambda b: b.with_images(b.images.float() / 255)
    )
    assert inside == ["in", "out"]


def test_rows_of_low_precision_become_unit_rows_of_float32():
    table = extract_features(lambda batch: describe(batch).bfloat16(), [batch_of(range(9))])
    np.testing.assert_allclose(np.linalg.norm(table.embeddings, axis=1), 1, atol=1e-6)


def test_images_that_two_processes_described_are_kept_once():
    def gather(columns):
        return [columns, {name: values[::-1][:3] for name, values in columns.items()}]

    table = extract_features(describe, [batch_of([3, 0, 1, 2])], gather=gather)
    assert table.labels.tolist() == [0, 10, 20, 30]
    np.testing.assert_allclose(table.embeddings[:, 1], np.sin(np.arange(4) / 10), atol=1e-6)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 0.0])
def test_a_broken_description_names_the_first_image(value):
    def broken(batch):
        rows = describe(batch)
        rows[batch.index >= 5] = value
        return rows

    with pytest.raises(DataError, match=r"test image 5 is zero or not finite \(2 of 7 images\)"):
        extract_features(broken, [batch_of([6, 0, 1, 2]), batch_of([3, 4, 5])])


def test_no_images_is_an_error():
    with pytest.raises(DataError, match="no test images"):
        extract_features(describe, [])
