from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import nn

from vireid.config.check import load_checked
from vireid.core.errors import CheckpointError, ConfigError, DataError
from vireid.core.types import Modality, Sample
from vireid.models import AveragePool, ClassTokenPool, CrossModalityNet, NeckHead, TwoStreamViT
from vireid.models.backbones.timm_vit import cut_column, resample_positions
from vireid.testing import tiny_batch
from vireid.zoo.configs import config_path

SIZES = [(256, 128), (288, 144), (384, 192)]
# the smallest member of each form: class token, average-pooled, attention-pooled; then those of the real families.
# tests/contract/test_architectures.py has all architectures at all sizes.
SMALL = ["test_vit", "test_vit2", "test_vit3", "eva02_tiny_patch14_224"]
FAMILIES = [
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "deit3_small_patch16_224",
    "vit_small_patch14_dinov2",
    "vit_small_patch14_reg4_dinov2",
    "vit_xsmall_patch16_clip_224",
    "vit_wee_patch16_reg1_gap_256",
    "vit_small_patch16_dinov3",
]
MODALITY = torch.tensor([1, 0, 1, 1, 0])


def known_to_timm(archs: list[str]) -> list:
    return [
        pytest.param(a, marks=pytest.mark.skipif(not timm.is_model(a), reason="newer than this timm")) for a in archs
    ]


def perturb(model: nn.Module) -> None:
    """Make tensors that start at zero or one count."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))


def compare_with_timm(arch: str, size: tuple[int, int], monkeypatch, stride: int | None = None) -> None:
    """Every token of the cut is that of timm's own forward pass, bit for bit."""
    create = timm.create_model
    created = []

    def perturbed(*args, **kwargs):
        model = create(*args, **kwargs)
        perturb(model)
        created.append(model)
        return model

    monkeypatch.setattr(timm, "create_model", perturbed)
    patch = 14 if "patch14" in arch or "dinov2" in arch else 16
    whole = (size[0] - size[0] % patch, size[1] - size[1] % patch)
    column = cut_column(arch, image_size=whole, stride=stride)
    (model,) = created
    images = torch.randn(2, 3, *whole, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        tokens = images
        for unit in column.units.values():
            tokens = unit.eval()(tokens)
        expected = model.eval().forward_features(images)
        if isinstance(model.norm, nn.Identity):
            expected = model.fc_norm(expected)
    assert torch.equal(tokens, expected)
    assert column.prefix == model.num_prefix_tokens
    assert tokens.shape == (2, column.prefix + column.grid[0] * column.grid[1], column.channels)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("arch", known_to_timm(SMALL))
def test_the_cut_is_timms_network(arch, size, monkeypatch):
    compare_with_timm(arch, size, monkeypatch)


@pytest.mark.parametrize("arch", known_to_timm(FAMILIES))
def test_the_cut_is_timms_network_for_each_architecture(arch, monkeypatch):
    compare_with_timm(arch, (256, 128), monkeypatch)


@pytest.mark.parametrize("arch", known_to_timm(["test_vit", "eva02_tiny_patch14_224"]))
def test_overlapping_patches_are_timms_projection_with_a_smaller_stride(arch, monkeypatch):
    compare_with_timm(arch, (256, 128), monkeypatch, stride=12)


@pytest.mark.parametrize(
    ("arch", "stride", "grids"),
    [
        ("test_vit", None, [(16, 8), (18, 9), (24, 12)]),
        ("test_vit", 12, [(21, 10), (23, 11), (31, 15)]),
        ("eva02_tiny_patch14_224", None, [(18, 9), (20, 10), (27, 13)]),
    ],
)
def test_the_grid_of_each_size(arch, stride, grids):
    with torch.device("meta"):
        backbones = [TwoStreamViT(arch=arch, stride=stride, image_size=size) for size in SIZES]
    assert [backbone.grid for backbone in backbones] == grids


def vit(**arguments) -> TwoStreamViT:
    torch.manual_seed(0)
    return TwoStreamViT(**{"arch": "test_vit", "image_size": (64, 32), **arguments}).eval()


def images(rows: int = 5, size: tuple[int, int] = (64, 32)) -> torch.Tensor:
    return torch.randn(rows, 3, *size, generator=torch.Generator().manual_seed(3))


def test_map_and_class_token_are_the_tokens_of_the_column():
    backbone = vit(share_from=0)
    with torch.no_grad():
        feature_map, source, fields = backbone(images(), MODALITY)
        tokens = backbone.shared(images())
    assert source is None
    assert torch.equal(fields["class_token"], tokens[:, 0])
    assert torch.equal(feature_map[:, :, 1, 0], tokens[:, 1 + 2])  # second row of a grid of two columns


@pytest.mark.parametrize("share_from", [0, 1, 3, 8])
def test_two_streams_of_equal_weights_are_the_single_network(share_from):
    with torch.no_grad():
        expected = vit(share_from=0)(images(), MODALITY)[0]
        torch.testing.assert_close(vit(share_from=share_from)(images(), MODALITY)[0], expected)


def test_each_row_goes_through_the_units_of_its_modality():
    backbone = vit(share_from=3)
    perturb(backbone.infrared)
    with torch.no_grad():
        feature_map = backbone(images(), MODALITY)[0]
        parts = (backbone.visible, backbone.infrared)
        for row, modality in enumerate(MODALITY.tolist()):
            tokens = backbone.shared(parts[modality](images()[row : row + 1]))
            expected = tokens[:, 1:].transpose(1, 2).reshape(1, 64, 4, 2)
            torch.testing.assert_close(feature_map[row : row + 1], expected, rtol=1e-4, atol=1e-5)


def test_gradients_reach_both_embeddings():
    backbone = vit(share_from=1)
    backbone(images(), MODALITY)[0].square().sum().backward()
    for part in (backbone.visible, backbone.infrared):
        assert part.embed.proj.weight.grad.any()
        assert part.embed.pos_embed.grad.any()


def test_bilinear_positions_are_plain_interpolation_and_bicubic_is_that_of_timm():
    positions = torch.randn(1, 1 + 14 * 14, 8, generator=torch.Generator().manual_seed(0))
    plain = resample_positions(positions, (14, 14), (21, 10), 1, "bilinear")
    image = positions[:, 1:].reshape(1, 14, 14, 8).permute(0, 3, 1, 2)
    expected = F.interpolate(image, (21, 10), mode="bilinear").permute(0, 2, 3, 1).reshape(1, 210, 8)
    assert torch.equal(plain, torch.cat([positions[:, :1], expected], dim=1))
    bicubic = resample_positions(positions, (14, 14), (21, 10), 1, "bicubic")
    assert torch.equal(bicubic, resample_abs_pos_embed(positions, [21, 10], [14, 14], num_prefix_tokens=1))
    assert not torch.equal(bicubic, plain)


def test_gradient_checkpointing_changes_no_gradient():
    gradients = []
    for checkpointing in (False, True):
        backbone = vit(checkpointing=checkpointing).train()
        backbone(images(), MODALITY)[0].square().sum().backward()
        gradients.append({name: parameter.grad for name, parameter in backbone.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-5, atol=1e-6)


def test_drop_path_rises_with_the_depth_and_eps_is_set_everywhere():
    backbone = vit(drop_path=0.1, norm_eps=1e-5)
    rates = [
        getattr(block.block.drop_path1, "drop_prob", 0.0)
        for name, block in backbone.shared.named_children()
        if "block" in name
    ]
    torch.testing.assert_close(rates, [0.1 * i / 5 for i in range(6)])
    assert {m.eps for m in backbone.modules() if isinstance(m, nn.LayerNorm)} == {1e-5}


# -- side information ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share_from", [0, 2])
def test_side_information_is_added_to_every_token(share_from):
    backbone = vit(share_from=share_from, side="camera_modality", side_weight=2.0, num_cameras=3)
    cameras = torch.tensor([3, 1, 2, 3, 3])
    with torch.no_grad():
        got = backbone(images(), MODALITY, cameras=cameras)[0]
        for row, (camera, modality) in enumerate(zip(cameras.tolist(), MODALITY.tolist())):
            part = (backbone.visible, backbone.infrared)[modality] if share_from else backbone.shared
            embed = part.embed
            side = embed.side_embed[2 * (camera % 3) + modality]
            tokens = embed.norm(embed.proj(images()[row : row + 1]).flatten(2).transpose(1, 2))
            tokens = torch.cat([embed.cls_token, tokens], dim=1) + embed.pos_embed + 2.0 * side
            rest = [u for p in ((part, backbone.shared) if share_from else (part,)) for u in p if u is not embed]
            for unit in rest:
                tokens = unit(tokens)
            expected = tokens[:, 1:].transpose(1, 2).reshape(1, 64, 4, 2)
            torch.testing.assert_close(got[row : row + 1], expected, rtol=1e-4, atol=1e-5)


def sample(camera: int) -> Sample:
    return Sample(Path("a.png"), 0, Modality.VISIBLE, camera)


def test_a_test_camera_without_training_images_is_refused():
    backbone = vit(side="camera", num_cameras=4)
    backbone.observe_training([sample(1), sample(2)])
    backbone.observe_training([sample(4)])
    backbone.validate([sample(1), sample(2), sample(4)])
    with pytest.raises(DataError, match="no training image is of camera 3"):
        backbone.validate([sample(1), sample(3)])
    fresh = vit(side="camera", num_cameras=4)
    fresh.load_state_dict(backbone.state_dict())
    fresh.validate([sample(4)])


# -- in a network ----------------------------------------------------------------------------------------------------


def network(backbone: nn.Module, pool: nn.Module, **more) -> CrossModalityNet:
    head = NeckHead(channels=64)
    return CrossModalityNet(backbone=backbone, pool=pool, heads={"neck": head}, **more).eval()


def test_the_class_token_is_the_pooled_feature():
    backbone, batch = vit(side="camera", num_cameras=6), tiny_batch()
    with torch.no_grad():
        out = network(backbone, ClassTokenPool())(batch).values
        expected = backbone(batch.images, batch.modality, cameras=batch.cameras)[2]["class_token"]
        mean = network(backbone, AveragePool())(batch).values
    torch.testing.assert_close(out["pooled"], expected)
    torch.testing.assert_close(mean["pooled"], mean["feature_map"].mean((2, 3)))


def test_a_network_without_class_token_cannot_be_pooled_by_it():
    with pytest.raises(ConfigError, match=r"MODEL\.POOL \(ClassTokenPool\) reads 'class_token', which this backbone"):
        network(vit(arch="test_vit2"), ClassTokenPool())


def test_an_adapter_and_the_class_token_are_refused_together():
    changes = {"MODEL.BACKBONE.NAME": "TwoStreamViT", "MODEL.BACKBONE.ARCH": "test_vit", "SIZE": [64, 32]}
    changes |= {"MODEL.BACKBONE.PRETRAINED": False, "MODEL.POOL.NAME": "ClassTokenPool"}
    with pytest.raises(ConfigError, match="the adapter does not rewrite: it would have no effect"):
        load_checked(config_path("sysu/agw_pae_aal"), changes)
    load_checked(config_path("sysu/agw_pae_aal"), changes | {"MODEL.POOL.NAME": "AveragePool"})


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"arch": "resnet18"}, "arch 'resnet18' (ResNet) is not a plain vision transformer"),
        ({"arch": "beit_base_patch16_224"}, "arch 'beit_base_patch16_224' (Beit) is not a plain vision transformer"),
        ({"arch": "vit_relpos_small_patch16_224"}, "(VisionTransformerRelPos) is not a plain vision transformer"),
        ({"stride": 17}, "stride must be between 1 and the side of a patch (16), got 17"),
        ({"stride": (12, 17)}, "stride must be between 1 and the side of a patch (16), got (12, 17)"),
        ({"share_from": 9}, "share_from must be 0 (all shared) to 8 (nothing shared) for 'test_vit', got 9"),
        ({"positions": "cubic"}, "positions must be one of bicubic, bilinear; did you mean 'bicubic'?"),
        ({"side": "camera"}, "side 'camera' needs the number of cameras"),
        ({"side": "cameras"}, "side must be one of none, modality, camera, camera_modality; did you mean 'camera'?"),
        ({"drop_path": 1.0}, "drop_path must be in [0, 1), got 1.0"),
        ({"image_size": (64, 8)}, "image_size (64, 8) is smaller than a patch of 'test_vit' (16 pixels)"),
    ],
)
def test_arguments_are_checked(arguments, text):
    with torch.device("meta"), pytest.raises(ValueError, match=re.escape(text)):
        vit(**arguments)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="is 64x64, and the positions of this network are those of 64x32"):
        vit()(images(size=(64, 64)), MODALITY)


def test_weights_are_loaded_at_the_native_size_and_positions_resampled(tmp_path):
    torch.manual_seed(4)
    model: Any = timm.create_model("test_vit")
    torch.save(model.state_dict(), tmp_path / "w.pth")
    backbone = vit(weights=str(tmp_path / "w.pth"))
    assert torch.equal(backbone.shared.block5.block.mlp.fc1.weight, model.blocks[5].mlp.fc1.weight)
    expected = resample_abs_pos_embed(model.pos_embed, [4, 2], [10, 10])
    for part in (backbone.visible, backbone.infrared):
        torch.testing.assert_close(part.embed.pos_embed.detach(), expected.detach())
    tensors = {name: value for name, value in model.state_dict().items() if name != "norm.weight"}
    torch.save(tensors, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"missing: norm\.weight"):
        vit(weights=str(tmp_path / "w.pth"))


def test_a_dropped_field_of_a_batch_is_named():
    batch = dataclasses.replace(tiny_batch())
    with pytest.raises(ValueError, match="cameras is missing: side 'camera' needs the camera of each image"):
        vit(side="camera", num_cameras=6)(batch.images, batch.modality)
