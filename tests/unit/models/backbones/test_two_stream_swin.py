from __future__ import annotations

import re

import pytest
import timm
import torch
from torch import nn

from vireid.core.errors import CheckpointError
from vireid.models import TwoStreamSwin
from vireid.models.backbones import timm_network

ARCH = "swin_tiny_patch4_window7_224"
SIZES = {(256, 128): (8, 4), (288, 144): (9, 5), (384, 192): (12, 6)}
MODALITY = torch.tensor([1, 0, 1])

pytestmark = pytest.mark.skipif(
    tuple(map(int, re.findall(r"\d+", timm.__version__)[:3])) < (1, 0, 12), reason="this timm refuses odd maps"
)


def perturb(model: nn.Module) -> None:
    """Make tensors that start at zero or one count."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))


@pytest.fixture(scope="module")
def whole():
    """timm's network for images of any size, as it stands."""
    torch.manual_seed(0)
    model = timm.create_model(ARCH, num_classes=0, strict_img_size=False)
    perturb(model)
    return model.eval()


@pytest.fixture(scope="module")
def backbone(whole, tmp_path_factory):
    """A backbone with the same weights and two modality-specific units."""
    file = tmp_path_factory.mktemp("swin") / "w.pth"
    torch.save(whole.state_dict(), file)
    return TwoStreamSwin(share_from=2, weights=str(file), image_size=(64, 32)).eval()


def images(rows: int, size: tuple[int, int]) -> torch.Tensor:
    return torch.randn(rows, 3, *size, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("size", SIZES)
def test_the_map_is_that_of_timm(whole, backbone, size):
    with torch.no_grad():
        feature_map, source = backbone(images(1, size), MODALITY[:1])
        expected = whole.forward_intermediates(images(1, size), indices=[3], norm=True, intermediates_only=True)[-1]
        assert torch.equal(feature_map, whole.forward_features(images(1, size)).permute(0, 3, 1, 2))
    assert torch.equal(feature_map, expected)
    assert feature_map.shape == (1, 768, *SIZES[size])
    assert source is None


def test_two_streams_of_equal_weights_are_the_single_network(whole, backbone):
    x = images(3, (64, 32))
    with torch.no_grad():
        expected = whole.forward_features(x).permute(0, 3, 1, 2)
        torch.testing.assert_close(backbone(x, MODALITY)[0], expected, rtol=1e-4, atol=1e-4)


def test_rows_go_through_the_units_of_their_modality_and_gradients_reach_both():
    torch.manual_seed(0)
    backbone = TwoStreamSwin(share_from=1, image_size=(32, 32)).eval()
    perturb(backbone.infrared)
    x = images(3, (32, 32))
    feature_map = backbone(x, MODALITY)[0]
    parts = (backbone.visible, backbone.infrared)
    for row, modality in enumerate(MODALITY.tolist()):
        expected = backbone.shared(parts[modality](x[row : row + 1])).permute(0, 3, 1, 2)
        torch.testing.assert_close(feature_map[row : row + 1], expected, rtol=1e-4, atol=1e-4)
    feature_map.square().sum().backward()
    for part in parts:
        assert part.embed.proj.weight.grad.any()


def test_gradient_checkpointing_changes_no_gradient():
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        backbone = TwoStreamSwin(image_size=(32, 32), drop_path=0.0, checkpointing=checkpointing).train()
        assert {m.grad_checkpointing for m in backbone.modules() if hasattr(m, "grad_checkpointing")} == {checkpointing}
        backbone(images(3, (32, 32)), MODALITY)[0].square().sum().backward()
        gradients.append({name: parameter.grad for name, parameter in backbone.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-5, atol=1e-6)


def test_tables_of_the_native_network_stay_at_every_image_size():
    native = timm.create_model(ARCH, num_classes=0).state_dict()
    with torch.device("meta"):
        state = TwoStreamSwin(share_from=0, image_size=(288, 144)).state_dict()
    tables = [value.shape for name, value in state.items() if "relative_position_bias_table" in name]
    assert tables == [value.shape for name, value in native.items() if "relative_position_bias_table" in name]
    assert sum(value.numel() for value in state.values()) == sum(value.numel() for value in native.values())


def test_drop_path_is_that_of_timm_unless_it_is_set():
    with torch.device("meta"):
        native = timm.create_model(ARCH).get_submodule("layers.3.blocks.1.drop_path1")
        ours = TwoStreamSwin().get_submodule("shared.layer4.layer.blocks.1.drop_path1")
        none = TwoStreamSwin(drop_path=0.0).get_submodule("shared.layer4.layer.blocks.1.drop_path1")
    assert ours.drop_prob == native.drop_prob > 0
    assert isinstance(none, nn.Identity)


def test_weights_are_loaded_strictly(whole, tmp_path):
    torch.save({name: value for name, value in whole.state_dict().items() if name != "norm.weight"}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"missing: norm\.weight"):
        TwoStreamSwin(weights=str(tmp_path / "w.pth"), image_size=(32, 32))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"arch": "swinv2_tiny_window8_256"}, "arch 'swinv2_tiny_window8_256' (SwinTransformerV2) is not a Swin"),
        ({"arch": "resnet10t"}, "arch 'resnet10t' (ResNet) is not a Swin Transformer; choose one such as swin_tiny"),
        ({"last_stride": 1}, "last_stride must be 2, got 1: a Swin Transformer halves the map by merging patches"),
        ({"share_from": 6}, "share_from must be 0 (all shared) to 5 (nothing shared), got 6"),
        ({"drop_path": 1.0}, "drop_path must be in [0, 1), got 1.0"),
        ({"image_size": (66, 32)}, "image size is 66x32, and both sides must be multiples of 4; set SIZE to 64x32"),
    ],
)
def test_arguments_are_checked(arguments, text):
    with torch.device("meta"), pytest.raises(ValueError, match=re.escape(text)):
        TwoStreamSwin(**arguments)


def test_images_whose_sides_are_no_multiples_of_a_patch_are_refused(backbone):
    with pytest.raises(ValueError, match="image size is 64x30, and both sides must be multiples of 4; set SIZE to"):
        backbone(images(1, (64, 30)), MODALITY[:1])


def test_an_older_timm_is_refused(monkeypatch):
    monkeypatch.setattr(timm_network.timm, "__version__", "1.0.11")
    with pytest.raises(ValueError, match=re.escape("needs timm 1.0.12 or newer, and 1.0.11 is installed; run pip")):
        TwoStreamSwin()
