from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vireid.models.inserts.modality import ModalityAlleviation, ModalityAlleviationBlock


def naive(block: ModalityAlleviationBlock, x: torch.Tensor) -> torch.Tensor:
    """The definition, image by image and channel by channel."""
    out = torch.empty_like(x)
    for row, image in enumerate(x):
        pooled = torch.stack([channel.mean() for channel in image])
        hidden = (block.squeeze.weight.flatten(1) @ pooled).relu()
        gate = (block.excite.weight.flatten(1) @ hidden).sigmoid()
        for c, channel in enumerate(image):
            normal = (channel - channel.mean()) / ((channel - channel.mean()).square().mean() + 1e-5).sqrt()
            out[row, c] = gate[c] * channel + (1 - gate[c]) * normal
    return out


def test_equals_the_definition_with_gradients():
    torch.manual_seed(0)
    block = ModalityAlleviationBlock(8, reduction=2).double()
    x = (3 + torch.randn(3, 8, 4, 2, dtype=torch.float64)).requires_grad_()
    ours, loop = block(x), naive(block, x)
    torch.testing.assert_close(ours, loop)
    probe = torch.randn_like(x)
    for one, other in zip(
        *(torch.autograd.grad((v * probe).sum(), [x, *block.parameters()]) for v in (ours, loop)), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_the_normalised_part_is_torchs_instance_norm():
    block = ModalityAlleviationBlock(4, reduction=1)
    torch.nn.init.constant_(block.squeeze.weight, 1.0)
    torch.nn.init.constant_(block.excite.weight, -1000.0)  # a closed gate
    x = torch.rand(2, 4, 5, 3)
    torch.testing.assert_close(block(x), F.instance_norm(x), rtol=1e-4, atol=1e-5)


def test_each_image_by_itself_in_training_too():
    block, x = ModalityAlleviationBlock(16).train(), torch.randn(4, 16, 3, 3)
    torch.testing.assert_close(block(x)[:1], block(x[:1]))


def test_half_precision_goes_in_and_out_and_is_computed_in_single():
    block, x = ModalityAlleviationBlock(16), 100 + torch.randn(2, 16, 6, 3)
    half = block(x.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half, block(x.bfloat16().float()).bfloat16())


def test_channels_last_stays():
    x = torch.randn(2, 16, 4, 3).to(memory_format=torch.channels_last)
    assert ModalityAlleviationBlock(16)(x).is_contiguous(memory_format=torch.channels_last)


def test_a_map_of_one_position_is_finite():
    assert ModalityAlleviationBlock(16)(torch.randn(2, 16, 1, 1)).isfinite().all()


def test_numbers_of_the_released_module():
    """MPANet's release: 0.66 million parameters behind stages 3 and 4 of ResNet-50."""
    blocks = [ModalityAlleviation().build(channels) for channels in (1024, 2048)]
    assert sum(p.numel() for block in blocks for p in block.parameters()) == 655_360
    assert [tuple(p.shape) for p in blocks[0].parameters()] == [(64, 1024, 1, 1), (1024, 64, 1, 1)]


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="at least 1, got 0 and 16"):
        ModalityAlleviation(count=0)
