from __future__ import annotations

import pytest
import torch

from vireid.core.errors import ArgumentError
from vireid.models.inserts import ModalityDistribution
from vireid.models.inserts.distribution import ModalityDistributionBlock


def naive(block: ModalityDistributionBlock, x: torch.Tensor) -> torch.Tensor:
    """The definition, image by image, map by map and channel by channel; batch statistics."""
    filters = block.combine.weight[:, 0]
    combined = torch.empty(x.shape[:2], dtype=x.dtype)
    for row, image in enumerate(x):
        positions = image.flatten(1)
        contexts = [(positions * (weight @ positions).softmax(0)).sum(1) for weight in block.attend.weight.flatten(1)]
        for channel in range(x.shape[1]):
            combined[row, channel] = sum(filters[channel, k] * context[channel] for k, context in enumerate(contexts))
    spread = combined.var(dim=0, correction=0)
    gate = ((combined - combined.mean(dim=0)) / (spread + 1e-5).sqrt()).sigmoid()
    gated = gate[:, :, None, None] * x
    mean, variance = gated.mean(dim=(0, 2, 3), keepdim=True), gated.var(dim=(0, 2, 3), correction=0, keepdim=True)
    scale, shift = (each.view(1, -1, 1, 1) for each in (block.norm.weight, block.norm.bias))
    return x + (gated - mean) / (variance + 1e-5).sqrt() * scale + shift


def block_with_effect(channels: int, maps: int) -> ModalityDistributionBlock:
    torch.manual_seed(0)
    block = ModalityDistributionBlock(channels, maps=maps)
    torch.nn.init.normal_(block.norm.weight)
    torch.nn.init.normal_(block.norm.bias)
    return block


@pytest.mark.parametrize("maps", [1, 3])
def test_equals_the_definition(maps):
    block = block_with_effect(4, maps).double()
    x = torch.randn(5, 4, 3, 2, dtype=torch.float64)
    torch.testing.assert_close(block(x), naive(block, x))


def test_starts_as_the_identity():
    x = torch.randn(4, 8, 3, 2)
    assert torch.equal(ModalityDistributionBlock(8)(x), x)


def test_half_precision_goes_in_and_out_and_is_computed_in_single():
    block, x = block_with_effect(8, 2).eval(), 100 + torch.randn(2, 8, 6, 3)
    half = block(x.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half, block(x.bfloat16().float()).bfloat16())


@pytest.mark.parametrize("name", ["count", "maps"])
def test_wrong_arguments(name):
    with pytest.raises(ArgumentError, match=f"{name} must be at least 1, got 0"):
        ModalityDistribution(**{name: 0})
