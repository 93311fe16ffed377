"""Weight files in the layouts of DINOv2, OpenAI CLIP and DeiT; the files are written here."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
import timm
import torch
from timm.layers.pos_embed import resample_abs_pos_embed

from vireid.core.errors import CheckpointError
from vireid.models import TwoStreamSwin, TwoStreamViT
from vireid.models.backbones.timm_network import create

RECENT = tuple(map(int, re.findall(r"\d+", timm.__version__)[:3])) >= (1, 0, 12)
RENAMED = "read in the layout of another code, renamed by timm"


def random_state(arch: str, **options) -> dict[str, torch.Tensor]:
    """A state dict of a timm network with random numbers."""
    generator = torch.Generator().manual_seed(0)
    state = timm.create_model(arch, num_classes=0, **options).state_dict()
    return {name: torch.randn(value.shape, generator=generator) for name, value in state.items()}


def as_dinov2(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names of the released DINOv2, which also stores the mask token of its training."""
    return {**state, "mask_token": torch.zeros(1, 384)}


def as_openai(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names of OpenAI's CLIP: image tower with its projection, and the first tensors of the text tower."""
    names = (
        ("patch_embed.proj", "conv1"),
        ("norm_pre", "ln_pre"),
        ("blocks.", "transformer.resblocks."),
        ("attn.qkv.", "attn.in_proj_"),
        ("attn.proj", "attn.out_proj"),
        ("mlp.fc1", "mlp.c_fc"),
        ("mlp.fc2", "mlp.c_proj"),
        ("norm1", "ln_1"),
        ("norm2", "ln_2"),
    )
    tensors = {}
    for name, value in state.items():
        for ours, theirs in names:
            name = name.replace(ours, theirs)
        name = re.sub(r"^norm\.", "ln_post.", name)
        tensors[f"visual.{name}"] = value
    tensors["visual.class_embedding"] = tensors.pop("visual.cls_token")[0, 0]
    tensors["visual.positional_embedding"] = tensors.pop("visual.pos_embed")[0]
    width = len(tensors["visual.class_embedding"])
    return {**tensors, "visual.proj": torch.zeros(width, 8), "token_embedding.weight": torch.zeros(9, 8)}


def loaded(arch: str, path, **options) -> dict[str, torch.Tensor]:
    return create(arch, weights=str(path), **options).state_dict()


@pytest.mark.parametrize(
    ("arch", "layout"),
    [("vit_small_patch14_dinov2", as_dinov2), ("vit_xsmall_patch16_clip_224", as_openai)],
)
def test_a_file_of_another_code_is_renamed(arch, layout, tmp_path, caplog):
    state = random_state(arch)
    torch.save(layout(state), tmp_path / "w.pth")
    with caplog.at_level(logging.WARNING):
        got = loaded(arch, tmp_path / "w.pth", dynamic_img_size=True)
    assert f"{tmp_path / 'w.pth'}: {RENAMED}" in [record.getMessage() for record in caplog.records]
    assert got.keys() == state.keys()
    assert all(torch.equal(got[name], state[name]) for name in state)


def test_dinov2_with_registers(tmp_path):
    """The position of the class token is part of the class token in timm."""
    arch = "vit_small_patch14_reg4_dinov2"
    state = random_state(arch)
    released = {name: value for name, value in state.items() if name not in ("reg_token", "pos_embed")}
    first = torch.randn(1, 1, 384)
    released |= {"register_tokens": state["reg_token"], "pos_embed": torch.cat([first, state["pos_embed"]], dim=1)}
    torch.save(as_dinov2(released), tmp_path / "w.pth")
    got = loaded(arch, tmp_path / "w.pth", dynamic_img_size=True)
    torch.testing.assert_close(got["cls_token"], state["cls_token"] + first)
    others = state.keys() - {"cls_token"}
    assert all(torch.equal(got[name], state[name]) for name in others)


def test_deit_is_wrapped_in_model_with_two_classifiers(tmp_path, caplog):
    arch = "deit_tiny_distilled_patch16_224"
    state = random_state(arch)
    heads = {f"{head}.{name}": torch.zeros(1) for head in ("head", "head_dist") for name in ("weight", "bias")}
    torch.save({"model": state | heads}, tmp_path / "w.pth")
    got = loaded(arch, tmp_path / "w.pth")
    assert all(torch.equal(got[name], state[name]) for name in state)
    assert RENAMED not in caplog.text


def test_layer_scales_of_deit3(tmp_path):
    state = random_state("deit3_small_patch16_224")
    released = {re.sub(r"ls([12])\.gamma", r"gamma_\1", name): value for name, value in state.items()}
    assert released.keys() != state.keys()
    torch.save({"model": released}, tmp_path / "w.pth")
    got = loaded("deit3_small_patch16_224", tmp_path / "w.pth")
    assert all(torch.equal(got[name], state[name]) for name in state)


@pytest.mark.skipif(not RECENT, reason="Swin needs timm 1.0.12")
def test_swin_of_the_release_merges_patches_at_the_end_of_a_layer(tmp_path):
    arch = "swin_tiny_patch4_window7_224"
    state = random_state(arch)
    released = {
        re.sub(r"layers\.(\d)\.downsample", lambda match: f"layers.{int(match[1]) - 1}.downsample", name): value
        for name, value in state.items()
    }
    torch.save({"model": released | {"head.weight": torch.zeros(1000, 768)}}, tmp_path / "w.pth")
    backbone = TwoStreamSwin(arch=arch, weights=str(tmp_path / "w.pth"), image_size=(32, 32), share_from=0)
    got = backbone.get_parameter("shared.layer3.downsample.reduction.weight")
    assert torch.equal(got, state["layers.2.downsample.reduction.weight"])


# -- positions of another grid ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [dict, as_openai])
def test_positions_of_another_grid_are_refused(layout, tmp_path):
    arch = "vit_xsmall_patch16_clip_224"
    torch.save(layout(random_state(arch, img_size=(64, 64))), tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"does not fit the backbone:\n    of another .*: pos_embed"):
        loaded(arch, tmp_path / "w.pth", dynamic_img_size=True)


def test_patches_of_another_size_are_refused(tmp_path):
    arch = "vit_xsmall_patch16_clip_224"
    state = random_state(arch)
    state["patch_embed.proj.weight"] = torch.randn(256, 3, 8, 8)
    torch.save(as_openai(state), tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"patch_embed\.proj\.weight"):
        loaded(arch, tmp_path / "w.pth", dynamic_img_size=True)


def test_positions_are_resampled_from_the_grid_that_is_named(tmp_path):
    state: dict[str, Any] = random_state("test_vit", img_size=(96, 48))  # 6 x 3
    torch.save(state, tmp_path / "w.pth")
    arguments = {"arch": "test_vit", "image_size": (64, 32), "weights": str(tmp_path / "w.pth")}
    backbone = TwoStreamViT(**arguments, weights_grid=(6, 3))
    expected = resample_abs_pos_embed(state["pos_embed"], [4, 2], [6, 3], num_prefix_tokens=1)
    torch.testing.assert_close(backbone.get_parameter("visible.embed.pos_embed").detach(), expected)
    other = TwoStreamViT(**arguments, weights_grid=(9, 2)).get_parameter("visible.embed.pos_embed")
    assert not torch.equal(other, backbone.get_parameter("visible.embed.pos_embed"))
    with pytest.raises(CheckpointError, match=r"of another shape: pos_embed \(1, 19, 64\), expected \(1, 101, 64\)"):
        TwoStreamViT(**arguments)
    with pytest.raises(CheckpointError, match=r"of another shape: pos_embed \(1, 19, 64\), expected \(1, 9, 64\)"):
        TwoStreamViT(**arguments, weights_grid=(4, 2))


def test_a_file_of_another_code_on_another_grid(tmp_path):
    arch = "vit_xsmall_patch16_clip_224"
    state = random_state(arch, img_size=(64, 32))
    torch.save(as_openai(state), tmp_path / "w.pth")
    backbone = TwoStreamViT(
        arch=arch, image_size=(64, 32), weights=str(tmp_path / "w.pth"), weights_grid=(4, 2), share_from=0
    )
    assert torch.equal(backbone.get_parameter("shared.embed.pos_embed"), state["pos_embed"])


def test_the_grid_of_a_file_needs_a_file(tmp_path):
    with pytest.raises(ValueError, match="weights_grid is the grid of a local file; set WEIGHTS to the file"):
        TwoStreamViT(arch="test_vit", weights_grid=(4, 2), pretrained=True)
    with pytest.raises(
        ValueError, match=r"weights_grid must be two positive numbers \(rows and columns\), got \(0, 2\)"
    ):
        TwoStreamViT(arch="test_vit", weights_grid=(0, 2), weights=str(tmp_path / "w.pth"))
