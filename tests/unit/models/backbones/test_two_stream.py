from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from vireid.models.backbones.two_stream import TwoStreamBackbone

ARCH = "resnet10t"


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# Counted in HCT's released code: share_net, of one specific branch, of the shared trunk
TABLE = [(0, 0, 23_508_032), (1, 9_536, 23_498_496), (2, 225_344, 23_282_688), (3, 1_444_928, 22_063_104)]
TABLE += [(4, 8_543_296, 14_964_736), (5, 23_508_032, 0)]


@pytest.mark.parametrize(("share_from", "branch", "trunk"), TABLE)
def test_resnet50_has_the_parameters_of_the_release(share_from, branch, trunk):
    with torch.device("meta"):
        backbone = TwoStreamBackbone(arch="resnet50", share_from=share_from)
    counts = [parameters(part) for part in (backbone.visible, backbone.infrared, backbone.shared)]
    assert counts == [branch, branch, trunk]
    assert backbone.channels == 2048


@pytest.fixture(scope="module")
def backbone() -> TwoStreamBackbone:
    """Branches of different weights, so that a row in the wrong one shows."""
    torch.manual_seed(0)
    backbone = TwoStreamBackbone(arch=ARCH, share_from=2).eval()
    with torch.no_grad():
        for parameter in backbone.infrared.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return backbone


IMAGES = torch.randn(6, 3, 64, 32, generator=torch.Generator().manual_seed(3)).to(memory_format=torch.channels_last)


def one_by_one(backbone, images, modality):
    branches = (backbone.visible, backbone.infrared)
    rows = [backbone.shared(branches[m](image[None])) for image, m in zip(images, modality.tolist())]
    return torch.cat(rows)


@pytest.mark.parametrize("modality", [[0, 0, 0, 1, 1, 1], [1, 0, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0], [0] * 6, [1] * 6])
def test_each_row_goes_through_its_branch_and_comes_back_to_its_place(backbone, modality):
    modality = torch.tensor(modality)
    with torch.no_grad():
        feature_map, source = backbone(IMAGES, modality)
        torch.testing.assert_close(feature_map, one_by_one(backbone, IMAGES, modality), rtol=1e-4, atol=1e-5)
    assert source is None
    assert feature_map.shape == (6, backbone.channels, 4, 2)


@pytest.mark.parametrize("modality", [[0, 0, 0, 1, 1, 1], [1, 0, 1, 1, 0, 0]])
def test_channels_last_stays(backbone, modality):
    with torch.no_grad():
        feature_map, _ = backbone.to(memory_format=torch.channels_last)(IMAGES, torch.tensor(modality))
    assert feature_map.is_contiguous(memory_format=torch.channels_last)


def test_gradients_reach_the_images_of_a_shuffled_batch(backbone):
    modality = torch.tensor([1, 0, 1, 1, 0, 0])
    images = IMAGES.clone().requires_grad_()
    (grad,) = torch.autograd.grad(backbone(images, modality)[0].square().sum(), images)
    (expected,) = torch.autograd.grad(one_by_one(backbone, images, modality).square().sum(), images)
    torch.testing.assert_close(grad, expected, rtol=1e-3, atol=1e-4)


def test_branches_start_equal_and_share_nothing():
    backbone = TwoStreamBackbone(arch=ARCH, share_from=3)
    for (name, a), (other, b) in zip(backbone.visible.named_parameters(), backbone.infrared.named_parameters()):
        assert name == other
        assert torch.equal(a, b)
        assert a.data_ptr() != b.data_ptr()


def test_shared_units_see_the_statistics_of_both_modalities():
    backbone = TwoStreamBackbone(arch=ARCH, share_from=1).train()
    seen = []
    backbone.shared.stage1.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    backbone(IMAGES, torch.tensor([0, 1, 0, 1, 1, 1]))
    assert seen == [6]


@pytest.mark.parametrize("share_from", [0, 5])
def test_all_and_nothing_shared(share_from):
    backbone = TwoStreamBackbone(arch=ARCH, share_from=share_from).eval()
    assert backbone(IMAGES, torch.tensor([0, 1, 0, 1, 1, 1]))[0].shape == (6, 512, 4, 2)
    assert len(backbone.shared) == 5 - share_from


def test_names_in_the_state_dict_stay():
    """Checkpoints refer to them."""
    names = set(TwoStreamBackbone(arch="resnet18", share_from=1).state_dict())
    assert {"visible.stem.conv1.weight", "infrared.stem.bn1.bias", "shared.stage1.0.conv1.weight"} <= names
    assert {name.split(".")[0] for name in names} == {"visible", "infrared", "shared"}


def test_a_modality_that_is_none_is_refused(backbone):
    with pytest.raises(ValueError, match=r"modality must be one of \[0, 1\]; 2 rows have another value"):
        backbone(IMAGES, torch.tensor([0, 1, 2, 1, 0, -1]))


@pytest.mark.parametrize("share_from", [-1, 6])
def test_share_from_has_a_range(share_from):
    with pytest.raises(ValueError, match=r"share_from must be 0 \(all shared\) to 5 \(nothing shared\)"):
        TwoStreamBackbone(arch=ARCH, share_from=share_from)


@pytest.mark.parametrize(("modality", "visible"), [([0, 0, 1, 1, 1, 1], 2), ([0] * 6, 6), ([1] * 6, 0)])
def test_a_known_number_of_visible_rows_changes_nothing(backbone, modality, visible):
    modality = torch.tensor(modality)
    with torch.no_grad():
        expected, _ = backbone(IMAGES, modality)
        assert torch.equal(backbone(IMAGES, modality, visible)[0], expected)
        on_meta = TwoStreamBackbone(arch=ARCH).to("meta")  # where looking at modality would be an error
        assert on_meta(IMAGES.to("meta"), modality.to("meta"), visible)[0].shape == expected.shape


# -- inserts ---------------------------------------------------------------------------------------------------------


class Scale(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x):
        return self.weight * x


@dataclass
class Scaling:
    count: int = 1

    def build(self, channels: int) -> nn.Module:
        return Scale(channels)


def places(backbone: nn.Module) -> list[str]:
    return [name for name, module in backbone.named_modules() if isinstance(module, Scale)]


def test_inserts_follow_the_last_blocks_of_their_stage():
    inserts = {"STAGE2": Scaling(count=1), "stage3": Scaling(count=5)}
    backbone = TwoStreamBackbone(arch="resnet18", share_from=1, inserts=inserts)
    assert places(backbone) == ["shared.stage2.1_insert", "shared.stage3.0_insert", "shared.stage3.1_insert"]
    assert backbone.shared.stage2.get_submodule("1_insert").weight.shape == (128, 1, 1)
    assert list(backbone.shared.stage3._modules) == ["0", "0_insert", "1", "1_insert"]


def test_inserts_come_before_a_final_convolution_and_have_the_width_of_their_block():
    inserts = {"stage3": Scaling(count=2), "stage4": Scaling(count=2)}
    backbones = []
    for arguments in ({}, {"inserts": inserts}):
        torch.manual_seed(0)
        backbones.append(TwoStreamBackbone(arch="tf_efficientnet_lite0", share_from=3, **arguments).eval())
    backbone = backbones[1]
    widths = {
        name: module.weight.shape[0] for name, module in backbone.shared.named_modules() if isinstance(module, Scale)
    }
    assert widths == {
        "stage3.3_insert": 80,
        "stage3.4_insert": 112,
        "stage4.blocks.5_insert": 192,
        "stage4.blocks.6_insert": 320,
    }
    assert list(dict(backbone.shared.stage4.named_children())) == ["blocks", "conv_head", "bn2"]
    with torch.no_grad():
        maps = [network(IMAGES, torch.arange(6) % 2)[0] for network in backbones]
    assert torch.equal(*maps)


def test_inserts_of_specific_stages_exist_twice():
    backbone = TwoStreamBackbone(arch="resnet18", share_from=2, inserts={"stage1": Scaling()})
    assert places(backbone) == ["visible.stage1.1_insert", "infrared.stage1.1_insert"]


def test_inserts_that_change_nothing_change_nothing():
    torch.manual_seed(0)
    plain = TwoStreamBackbone(arch="resnet18").eval()
    torch.manual_seed(0)
    more = TwoStreamBackbone(arch="resnet18", inserts={"stage4": Scaling(count=2)}).eval()
    modality = torch.tensor([0, 1, 0, 1, 1, 1])
    with torch.no_grad():
        torch.testing.assert_close(more(IMAGES, modality)[0], plain(IMAGES, modality)[0])


@pytest.mark.parametrize(
    ("arch", "inserts", "text"),
    [
        ("resnet18", {"stage5": Scaling()}, "inserts: 'stage5' is not a stage; did you mean"),
        ("resnet18", {"stage2": Scaling(count=0)}, "inserts: count in stage2 must be at least 1, got 0"),
        ("convnext_atto", {"stage2": Scaling()}, "inserts: stage2 of this network is not a sequence of blocks"),
        ("resnetv2_18", {"stage4": Scaling()}, "inserts: stage4 of this network is not a sequence of blocks"),
    ],
)
def test_inserts_are_checked(arch, inserts, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        TwoStreamBackbone(arch=arch, inserts=inserts)


def test_the_last_stage_may_be_an_earlier_one():
    """The same values as the output of that stage; later stages have no weights."""
    torch.manual_seed(0)
    whole = TwoStreamBackbone(arch=ARCH, share_from=1).eval()
    part = TwoStreamBackbone(arch=ARCH, share_from=1, last_stage=3).eval()
    part.load_state_dict({k: v for k, v in whole.state_dict().items() if "stage4" not in k})
    images, modality, outputs = torch.rand(4, 3, 64, 32), torch.tensor([0, 1, 1, 0]), []
    whole.shared.get_submodule("stage3").register_forward_hook(lambda module, given, out: outputs.append(out))
    with torch.no_grad():
        whole(images, modality)
        feature_map, _ = part(images, modality)
    torch.testing.assert_close(feature_map, outputs[0])
    assert feature_map.shape[1] == part.channels < whole.channels


@pytest.mark.parametrize("last_stage", [0, 5])
def test_last_stage_has_a_range(last_stage):
    with pytest.raises(ValueError, match="last_stage must be 1 to 4"):
        TwoStreamBackbone(arch=ARCH, last_stage=last_stage)


def test_nothing_beyond_the_last_stage_can_be_named():
    with pytest.raises(ValueError, match=r"share_from must be at most last_stage \+ 1 \(3\), got 4"):
        TwoStreamBackbone(arch=ARCH, last_stage=2, share_from=4)
    with pytest.raises(ValueError, match=r"'stage4' is not a stage.*stage1 to stage3"):
        TwoStreamBackbone(arch=ARCH, last_stage=3, inserts={"stage4": Scaling()})
