"""Costs against sums that hooks make, and against what is known of ResNet-50."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import vireid
from vireid.zoo.cost import batch_of, cost, speed

SIZE = (64, 32)


def naive_flops(model: nn.Module, size: tuple[int, int]) -> float:
    """Twice the multiplications of each convolution and linear layer that a real forward pass calls, for one image."""
    total = 0.0

    def convolution(layer: nn.Conv2d, _inputs: object, out: torch.Tensor) -> None:
        nonlocal total
        total += 2 * out.numel() * layer.in_channels // layer.groups * layer.kernel_size[0] * layer.kernel_size[1]

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(convolution)
    with torch.no_grad():
        model.embed(batch_of(size))
    return total / 2


@pytest.fixture(scope="module")
def small():
    return vireid.create_model("mmd", arch="resnet10t", num_ids=7).eval()


def test_operations_are_those_of_the_layers_that_run(small):
    assert cost(small, SIZE).flops == naive_flops(small, SIZE)


def test_the_classifier_is_not_needed_for_retrieval(small):
    found = cost(small, SIZE)
    assert found.parameters == sum(parameter.numel() for parameter in small.parameters())
    assert found.parameters - found.retrieval_parameters == 7 * found.width
    assert found.width == 512


def test_the_model_stays_as_it_was(small):
    before = {name: value.clone() for name, value in small.state_dict().items()}
    cost(small, SIZE)
    assert all(torch.equal(before[name], value) for name, value in small.state_dict().items())
    assert all(parameter.device.type == "cpu" for parameter in small.parameters())


def test_resnet_50():
    """4.1 G multiplications at 224 x 224 with stride 2 at the end (He et al. 2016, 3.8 without its later form)."""
    with torch.device("meta"):
        model = vireid.create_model("baseline", num_ids=3, overrides={"MODEL.BACKBONE.LAST_STRIDE": 2})
    assert cost(model, (224, 224)).flops / 2 == pytest.approx(4.09e9, rel=0.01)


def test_attributes_are_given_to_networks_that_ask():
    with torch.device("meta"):
        model = vireid.create_model("mmd_pae_aal", arch="resnet10t", num_ids=7)
    found = cost(model, SIZE)
    assert found.retrieval_parameters < found.parameters


def test_speed_counts_images(small):
    found = speed(small, SIZE, rows=4, repeats=3)
    assert found.images_per_second == pytest.approx(4 / found.latency)
    assert found.spread >= 0
    assert found.peak_memory is None


def test_numbers_that_cannot_be(small):
    with pytest.raises(ValueError, match="rows and repeats must be at least 2, got 1 and 10"):
        speed(small, SIZE, rows=1)


def test_half_of_the_rows_are_visible():
    batch = batch_of(SIZE, 5)
    assert batch.modality.tolist() == [0, 0, 0, 1, 1]
    assert replace(batch).images.shape == (5, 3, *SIZE)
