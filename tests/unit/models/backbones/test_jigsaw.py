"""Jigsaw patches of TransReID as an option of the vision transformer."""

from __future__ import annotations

import re

import pytest
import torch

from vireid.config import Build, load_checked
from vireid.layers.jigsaw import shuffle_patches
from vireid.models import TwoStreamViT
from vireid.zoo.configs import config_path

MODALITY = torch.tensor([1, 0, 1])
IMAGES = torch.randn(3, 3, 64, 48, generator=torch.Generator().manual_seed(3))  # 12 patches


def vit(**arguments) -> TwoStreamViT:
    torch.manual_seed(0)
    return TwoStreamViT(**{"arch": "test_vit", "image_size": (64, 48), **arguments}).eval()


def perturb(module: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize("rearrange", [True, False])
@pytest.mark.parametrize("arch", ["test_vit", "deit_tiny_distilled_patch16_224"])
def test_parts_are_class_tokens_of_one_copy_of_the_last_block(arch, rearrange):
    backbone = vit(arch=arch, jigsaw_parts=4, jigsaw_rearrange=rearrange, share_from=0)
    perturb(backbone.local)
    *trunk, last, norm = backbone.shared
    with torch.no_grad():
        fields = backbone(IMAGES, MODALITY)[2]
        tokens = IMAGES
        for unit in trunk:
            tokens = unit(tokens)
        patches = tokens[:, backbone.prefix :]
        patches = shuffle_patches(patches) if rearrange else patches
        for part in range(4):
            group = torch.cat([tokens[:, :1], patches[:, 3 * part : 3 * part + 3]], dim=1)
            expected = backbone.local.norm(backbone.local.block(group))[:, 0]
            torch.testing.assert_close(fields["part_features"][:, part], expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(fields["class_token"], norm(last(tokens))[:, 0])


def test_map_and_class_token_are_those_without_parts_and_the_copy_starts_equal():
    plain, jigsaw = vit(), vit(jigsaw_parts=4)
    with torch.no_grad():
        expected, got = plain(IMAGES, MODALITY), jigsaw(IMAGES, MODALITY)
    assert torch.equal(got[0], expected[0])
    assert torch.equal(got[2]["class_token"], expected[2]["class_token"])
    assert plain.provides == {"class_token"}
    assert jigsaw.provides == {"class_token", "part_features"}
    assert jigsaw.dims == {"class_token": 64, "part_features": 64}
    own = {name: value for name, value in jigsaw.state_dict().items() if not name.startswith("local.")}
    assert own.keys() == plain.state_dict().keys()
    copy = jigsaw.local.state_dict()
    assert all(torch.equal(copy[f"block.{name}"], value) for name, value in jigsaw.shared[-2].state_dict().items())


@pytest.mark.parametrize("share_from", [0, 3, 6])
def test_gradients_reach_every_parameter_and_side_information_the_parts(share_from):
    backbone = vit(jigsaw_parts=4, side="modality", share_from=share_from)
    perturb(backbone)
    out = backbone(IMAGES, MODALITY)
    (out[0].square().mean() + out[2]["part_features"].square().mean()).backward()
    assert not [name for name, parameter in backbone.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"jigsaw_parts": 13}, "jigsaw_parts must be 0 (no jigsaw) to 12 (number of patches), got 13"),
        ({"jigsaw_parts": -1}, "jigsaw_parts must be 0 (no jigsaw) to 12 (number of patches), got -1"),
        ({"jigsaw_parts": 4, "arch": "test_vit2"}, "jigsaw_parts needs a network with class token"),
        ({"jigsaw_parts": 4, "arch": "eva02_tiny_patch14_224"}, "jigsaw_parts is not possible with rotary positions"),
        ({"jigsaw_parts": 4, "share_from": 7}, "jigsaw_parts needs a shared last block; lower SHARE_FROM"),
    ],
)
def test_impossible_combinations_are_refused(arguments, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        vit(**arguments)


def test_parts_in_a_config():
    """Retrieval by parts, and a triplet loss of each part."""
    changes = {
        "MODEL.BACKBONE": {"NAME": "TwoStreamViT", "ARCH": "test_vit", "JIGSAW_PARTS": 4, "PRETRAINED": False},
        "SIZE": [64, 32],
        "MODEL.POOL": {"NAME": "ClassTokenPool"},
        "MODEL.EMBEDDING": ["features_bn", "part_features"],
        "OBJECTIVE.PARTS": {"NAME": "PerPart", "OVER": "part_features", "LOSS": {"NAME": "BatchHardTriplet"}},
    }
    checked = load_checked(config_path("sysu/baseline"), changes)
    model = Build(checked).model().eval()
    assert model.dims["part_features"] == 64
