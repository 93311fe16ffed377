"""Backbones of every supported family compute timm's own map, and networks of other kinds are refused by their class.

The weights are random; tensors that start at zero or one are perturbed, so that a forgotten one is noticed.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from vireid.models import TwoStreamBackbone, TwoStreamSwin, TwoStreamViT

SIZES = [(256, 128), (288, 144), (384, 192)]
MODALITY = torch.tensor([1, 0])

COLUMNS = [
    "vit_tiny_patch16_224",
    "vit_small_patch14_dinov2",
    "vit_small_patch14_reg4_dinov2",
    "deit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "deit3_small_patch16_224",
    "vit_xsmall_patch16_clip_224",
    "vit_base_patch16_clip_224.openai",
    "vit_base_patch16_siglip_224",
    "eva02_tiny_patch14_224",
    "vit_small_patch16_dinov3",
    "vit_wee_patch16_reg1_gap_256",
]
WINDOWS = ["swin_tiny_patch4_window7_224", "swin_s3_tiny_224"]
BLOCKS = [
    "efficientnet_b0",
    "tf_efficientnet_lite0",
    "mobilenetv2_100",
    "mnasnet_small",
    "tf_efficientnetv2_b0",
    "mobilenetv3_small_100",
    "mobilenetv4_conv_small",
]
STAGES = ["resnet18", "resnet50", "regnety_002", "regnetx_002", "convnext_atto", "convnextv2_atto"]
# the windows family is tested at all sizes in tests/unit/models/backbones/test_two_stream_swin.py
FAST = ["test_vit", "mobilenetv3_small_100", "regnetx_002", "convnextv2_atto"]


def family(arch: str) -> tuple[type, dict, dict]:
    """Backbone, its arguments, and those of timm's network."""
    if arch in WINDOWS:
        return TwoStreamSwin, {}, {"strict_img_size": False}
    if arch in [*BLOCKS, *STAGES]:
        return TwoStreamBackbone, {"last_stride": 2}, {}
    return TwoStreamViT, {}, {"dynamic_img_size": True}


def perturb(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))


def map_of_timm(model: Any, images: Tensor) -> Tensor:
    """The map of timm's forward pass, behind the last norm, (B, C, H, W)."""
    features = model.forward_features(images)
    if features.dim() == 4:
        return features.permute(0, 3, 1, 2) if getattr(model, "output_fmt", "NCHW") == "NHWC" else features
    if isinstance(model.norm, nn.Identity):
        features = model.fc_norm(features)
    rows, columns = (side // patch for side, patch in zip(images.shape[2:], model.patch_embed.patch_size))
    return features[:, model.num_prefix_tokens :].transpose(1, 2).unflatten(2, (rows, columns))


def compare(arch: str, sizes: list[tuple[int, int]], tmp_path) -> None:
    """A two-stream backbone that loaded the weights of timm's network, against this network, bit for bit."""
    if not timm.is_model(arch):
        pytest.skip(f"timm {timm.__version__} does not have {arch}")
    kind, arguments, of_timm = family(arch)
    torch.manual_seed(0)
    model = timm.create_model(arch, num_classes=0, **of_timm)
    perturb(model.eval())
    torch.save(model.state_dict(), tmp_path / "w.pth")
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", (1, 1))
    arguments = {"arch": arch, "weights": str(tmp_path / "w.pth"), **arguments}
    backbone = None if kind is TwoStreamViT else kind(**arguments).eval()
    for height, width in sizes:
        whole = (height - height % patch[0], width - width % patch[1])  # timm refuses other sizes
        network = backbone or TwoStreamViT(**arguments, image_size=whole).eval()
        images = torch.randn(2, 3, *whole, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected = map_of_timm(model, images[:1])
            for modality in (0, 1):
                assert torch.equal(network(images[:1], torch.tensor([modality]))[0], expected)
            both = network(images, MODALITY)[0]
            torch.testing.assert_close(both, map_of_timm(model, images), rtol=1e-3, atol=1e-3)
        assert network.channels == expected.shape[1]


@pytest.mark.parametrize("arch", FAST)
def test_the_map_is_that_of_timm(arch, tmp_path):
    compare(arch, SIZES[:1], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("arch", [*COLUMNS, *WINDOWS, *BLOCKS, *STAGES])
def test_the_map_of_every_architecture_at_every_size(arch, tmp_path):
    compare(arch, SIZES, tmp_path)


@pytest.mark.parametrize(
    ("arch", "name"),
    [
        ("beit_base_patch16_224", "Beit"),
        ("vit_relpos_small_patch16_224", "VisionTransformerRelPos"),
        ("samvit_base_patch16", "VisionTransformerSAM"),
        ("naflexvit_base_patch16_gap", "NaFlexVit"),
        ("vit_small_r26_s32_224", "VisionTransformer with HybridEmbed"),
        ("vit_small_patch16_rope_mixed_224", "Eva with rotary positions of its own in each block"),
        ("swinv2_tiny_window8_256", "SwinTransformerV2"),
        ("densenet121", "DenseNet"),
    ],
)
def test_other_networks_are_refused_by_the_name_of_their_class(arch, name):
    if not timm.is_model(arch):
        pytest.skip(f"timm {timm.__version__} does not have {arch}")
    for kind in (TwoStreamBackbone, TwoStreamViT, TwoStreamSwin):
        shown = name.split(" with ")[0] if kind is not TwoStreamViT else name
        with torch.device("meta"), pytest.raises(ValueError, match=re.escape(f"{arch!r} ({shown}) ")):
            kind(arch=arch)
