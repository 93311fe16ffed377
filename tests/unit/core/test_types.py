from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from vireid.core.types import Modality, PersonFeatures


def test_rows_are_selected_together(batch):
    rows = torch.tensor([5, 0, 5])
    chosen = batch.select(rows)
    assert len(chosen) == 3
    assert torch.equal(chosen.images, batch.images[rows])
    assert torch.equal(chosen.attributes_known, batch.attributes_known[rows])
    assert len(batch.select(batch.modality == Modality.INFRARED)) == 12


def test_missing_attributes_stay_missing(batch):
    bare = replace(batch, attributes=None, attributes_known=None)
    assert bare.select(torch.tensor([1])).attributes is None
    assert bare.to("cpu").attributes_known is None


def test_only_images_are_replaced(batch):
    images = torch.zeros(2)
    other = batch.with_images(images)
    assert other.images is images
    assert other.labels is batch.labels


def test_a_batch_and_features_are_frozen(batch):
    with pytest.raises(FrozenInstanceError):
        batch.labels = None
    with pytest.raises(FrozenInstanceError):
        PersonFeatures({}).source = None


def test_modalities_have_the_numbers_that_the_files_have():
    assert (int(Modality.VISIBLE), int(Modality.INFRARED)) == (0, 1)
