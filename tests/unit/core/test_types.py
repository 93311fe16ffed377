from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from vireid.core.types import Modality, ModelOutput


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
        ModelOutput({}).source = None


def test_modalities_have_the_numbers_that_the_files_have():
    assert (int(Modality.VISIBLE), int(Modality.INFRARED)) == (0, 1)


def test_visible_rows_are_counted_before_they_leave_the_host(batch):
    in_order = batch.select(torch.argsort(batch.modality, stable=True))
    assert in_order.visible is None
    moved = in_order.to("meta")
    assert moved.visible == 12
    assert moved.with_images(moved.images).to("meta").visible == 12
    assert moved.select(torch.tensor([3], device="meta")).visible is None


def test_rows_in_another_order_or_of_another_kind_are_not_counted(batch):
    assert batch.to("cpu").visible is None
    strangers = replace(batch, modality=torch.full_like(batch.modality, 2))
    assert strangers.to("cpu").visible is None
    assert batch.select(batch.modality == Modality.INFRARED).to("cpu").visible == 0
    assert batch.select(batch.modality == Modality.VISIBLE).to("cpu").visible == 12
