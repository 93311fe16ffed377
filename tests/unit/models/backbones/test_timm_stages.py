from __future__ import annotations

import re

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from vireid.core.errors import CheckpointError
from vireid.models.backbones import timm_stages
from vireid.models.backbones.timm_stages import UNITS, cut, keep_size

# one of each form: plain and deep stem, anti-aliasing pools, average-pooled shortcut, s1..s4, stages, final norm
ARCHS = [
    "resnet18",
    "resnet10t",
    "resnet26d",
    "resnetaa50",
    "regnety_002",
    "convnext_atto",
    "resnetv2_50",
    "seresnet50",
    "tf_efficientnet_lite0",
    "mobilenetv3_small_100",
]
# one sequence of blocks: convolution before the pooling (the first five) or after it, stem without a block (V3)
BLOCKS = {
    "efficientnet_b0": (16, 24, 40, 112, 1280),
    "tf_efficientnet_lite0": (16, 24, 40, 112, 1280),
    "mobilenetv2_100": (16, 24, 32, 96, 1280),
    "mnasnet_small": (8, 16, 16, 32, 1280),
    "tf_efficientnetv2_b0": (16, 32, 48, 112, 1280),
    "mobilenetv3_small_100": (16, 16, 24, 48, 576),
    "mobilenetv4_conv_small": (32, 32, 64, 96, 960),
}


def run(units, x):
    for unit in units.values():
        x = unit.eval()(x)
    return x


@pytest.mark.parametrize("arch", ARCHS)
def test_the_units_in_a_row_are_the_network(arch):
    torch.manual_seed(0)
    stages = cut(arch, last_stride=2)
    torch.manual_seed(0)
    whole = timm.create_model(arch, num_classes=0).eval()
    x = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        torch.testing.assert_close(run(stages.units, x), whole.forward_features(x), rtol=0, atol=0)
    assert tuple(stages.units) == UNITS


@pytest.mark.slow
@pytest.mark.parametrize("size", [(256, 128), (288, 144), (384, 192)])
@pytest.mark.parametrize("arch", BLOCKS)
def test_a_sequence_of_blocks_is_split_where_the_resolution_halves(arch, size):
    torch.manual_seed(0)
    stages = cut(arch, last_stride=2)
    torch.manual_seed(0)
    whole = timm.create_model(arch, num_classes=0).eval()
    x, sizes = torch.randn(1, 3, *size), []
    with torch.no_grad():
        expected = whole.forward_features(x)
        for unit in stages.units.values():
            x = unit.eval()(x)
            sizes.append(x.shape[2])
    assert torch.equal(x, expected)
    assert sizes == [size[0] // 2**k for k in range(1, 6)]
    assert tuple(stages.channels.values()) == BLOCKS[arch]


@pytest.mark.parametrize("arch", ARCHS)
def test_last_stride_1_doubles_the_map_and_changes_no_weight(arch):
    x = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        strided, kept = (cut(arch, last_stride=stride) for stride in (2, 1))
        assert run(strided.units, x).shape == (1, strided.channels["stage4"], 2, 1)
        assert run(kept.units, x).shape == (1, kept.channels["stage4"], 4, 2)
    shapes = [{n: v.shape for n, v in s.units["stage4"].state_dict().items()} for s in (strided, kept)]
    assert shapes[0] == shapes[1]
    assert not any(
        module.stride == (2, 2) or module.dilation != (1, 1)
        for module in kept.units["stage4"].modules()
        if isinstance(module, nn.Conv2d)
    )


def test_stride_1_equals_every_second_position_of_a_plain_stage():
    """Convolutions without stride, read at every second place, are the strided ones: no dilation, no shift."""
    stage = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2, padding=1))
    kept = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2, padding=1))
    kept.load_state_dict(stage.state_dict())
    keep_size(kept)
    x = torch.randn(1, 2, 8, 6)
    torch.testing.assert_close(kept(x)[:, :, ::2, ::2], stage(x))


def test_channels_of_each_unit():
    assert cut("resnet18").channels == dict(zip(UNITS, (64, 64, 128, 256, 512), strict=True))


def test_the_forward_passes_of_the_check_run_once_for_each_architecture(monkeypatch):
    calls = []
    monkeypatch.setattr(timm_stages, "_checked", {})
    check = timm_stages._check_cut
    monkeypatch.setattr(timm_stages, "_check_cut", lambda *arguments: (calls.append(arguments[2]), check(*arguments)))
    first, second = cut("resnet10t"), cut("resnet10t")
    assert second.channels == first.channels
    assert second.channels is not first.channels
    cut("resnet10t", last_stride=2)
    with torch.device("meta"):
        cut("resnet10t")
    assert len(calls) == 3, "another stride or device is another key"


@pytest.mark.parametrize(
    ("arch", "text"),
    [
        ("resnet5", "arch 'resnet5' is not a timm model; did you mean 'resnet50'?"),
        ("resnet18.a1_in2k", "arch 'resnet18.a1_in2k': timm has no such weights; did you mean 'resnet18.a1_in1k'?"),
        (
            "vit_tiny_patch16_224",
            "'vit_tiny_patch16_224' (VisionTransformer) has no stages (its modules: patch_embed, pos_drop,",
        ),
        ("densenet121", "arch 'densenet121' (DenseNet) has no stages (its modules: features,"),
        ("halonet26t", "arch 'halonet26t' takes images of one size only"),
        ("hf-hub:someone/net", "arch 'hf-hub:someone/net' is not a timm model"),
    ],
)
def test_a_network_that_cannot_be_cut_is_refused(arch, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        cut(arch)


def test_last_stride_is_1_or_2():
    with pytest.raises(ValueError, match="last_stride must be 1 or 2, got 3"):
        cut("resnet18", last_stride=3)


def test_the_last_convolution_can_be_left_out(tmp_path):
    arch = "tf_efficientnet_lite0"
    torch.manual_seed(0)
    model = timm.create_model(arch, num_classes=0)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    x = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        expected = model.eval().blocks(model.bn1(model.conv_stem(x)))
        for stride in (2, 1):
            stages = cut(arch, last_stride=stride, conv_head=False, weights=str(tmp_path / "w.pth"))
            got = run(stages.units, x)
            assert got.shape[1] == stages.channels["stage4"] == 320
            assert stages.block_channels["stage4"] == [192, 320]
            assert got.shape[2:] == ((2, 1) if stride == 2 else (4, 2))
            assert stride == 1 or torch.equal(got, expected)
    assert (expected < 0).any()
    assert cut(arch).channels["stage4"] == 1280, "the option is part of the key of the stored numbers"
    for other in ("resnet10t", "mobilenetv3_small_100"):
        with pytest.raises(ValueError, match=f"conv_head is only for networks .*, and '{other}' has none; leave it at"):
            cut(other, conv_head=False)


@pytest.mark.parametrize("arch", ["resnet10t", "regnetx_002", "convnext_atto", "mobilenetv3_small_100"])
def test_drop_path_rises_with_the_depth(arch):
    units = cut(arch, drop_path=0.25).units
    rates = [module.drop_prob for module in nn.ModuleList(units.values()).modules() if hasattr(module, "drop_prob")]
    assert len(rates) > 1
    assert rates == sorted(rates)
    assert 0.15 < rates[-1] <= 0.25
    assert not any(hasattr(module, "drop_prob") for module in nn.ModuleList(cut(arch).units.values()).modules())
    with pytest.raises(ValueError, match=re.escape("drop_path must be in [0, 1), got 1.0")):
        cut(arch, drop_path=1.0)


# -- weights from a file ---------------------------------------------------------------------------------------------


def weights_of(arch: str, seed: int = 7) -> dict[str, torch.Tensor]:
    """As published: with the classifier of 1000 classes."""
    torch.manual_seed(seed)
    return {name: value.clone() for name, value in timm.create_model(arch).state_dict().items()}


@pytest.fixture(scope="module")
def tensors():
    return weights_of("resnet10t")


@pytest.mark.parametrize("form", ["safetensors", "torch", "wrapped"])
def test_every_tensor_of_a_file_arrives(tmp_path, tensors, form):
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(tensors, path)
    else:
        torch.save({"state_dict": tensors} if form == "wrapped" else tensors, path)
    units = cut("resnet10t", weights=str(path)).units
    torch.testing.assert_close(units["stem"].conv1[0].weight, tensors["conv1.0.weight"])
    for stage in range(1, 5):
        for name, value in units[f"stage{stage}"].state_dict().items():
            assert torch.equal(value, tensors[f"layer{stage}.{name}"])


def test_files_without_batch_counters_are_taken(tmp_path, tensors):
    old = {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    units = cut("resnet10t", weights=str(tmp_path / "old.pth")).units
    assert torch.equal(units["stage4"][0].conv1.weight, tensors["layer4.0.conv1.weight"])


def test_every_tensor_that_does_not_fit_is_listed(tmp_path, tensors):
    wrong = {name: value for name, value in tensors.items() if name != "layer1.0.conv2.weight"}
    wrong["layer2.0.conv1.weight"] = torch.zeros(2, 3)
    wrong["neck.weight"] = torch.zeros(4)
    path = tmp_path / "wrong.safetensors"
    save_file(wrong, path)
    with pytest.raises(CheckpointError) as error:
        cut("resnet10t", weights=str(path))
    assert str(error.value) == (
        f"{path} does not fit the backbone:"
        "\n    missing: layer1.0.conv2.weight"
        "\n    not of this network: neck.weight"
        "\n    of another shape: layer2.0.conv1.weight (2, 3), expected (128, 64, 3, 3)"
    )


def test_a_file_of_another_network_is_cut_short(tmp_path, tensors):
    path = tmp_path / "other.safetensors"
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"missing: .* and \d+ more"):
        cut("resnet18", weights=str(path))


@pytest.mark.parametrize("nested", ["", "model", "state_dict", "net"])
@pytest.mark.parametrize("prefix", ["module.encoder_q.", "_orig_mod.", "backbone.", ""])
def test_a_prefix_and_a_nested_mapping_are_removed_and_reported(tmp_path, tensors, caplog, nested, prefix):
    content = {f"{prefix}{name}": value for name, value in tensors.items()}
    torch.save({"epoch": 3, nested: content} if nested else content, tmp_path / "w.pth")
    units = cut("resnet10t", weights=str(tmp_path / "w.pth")).units
    assert torch.equal(units["stage4"][0].conv1.weight, tensors["layer4.0.conv1.weight"])
    assert [record.getMessage() for record in caplog.records] == (
        [
            f"{tmp_path / 'w.pth'}: removed the prefix {prefix!r} from {len(tensors)} names"
            if prefix != "_orig_mod."
            else f"{tmp_path / 'w.pth'}: removed '_orig_mod', which torch.compile inserts"
        ]
        if prefix
        else []
    )


def test_moco_keeps_two_networks(tmp_path, tensors, caplog):
    content = {f"module.encoder_{which}.{name}": value for which in "qk" for name, value in tensors.items()}
    torch.save({"arch": "resnet10t", "state_dict": content | {"module.queue": torch.zeros(2)}}, tmp_path / "moco.pth")
    cut("resnet10t", weights=str(tmp_path / "moco.pth"))
    assert f"left out {len(tensors) + 1} tensors outside that prefix" in caplog.text


def test_home_is_expanded(tmp_path, tensors, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save_file(tensors, tmp_path / "w.safetensors")
    cut("resnet10t", weights="~/w.safetensors")


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_nothing_in_a_file_is_executed(tmp_path, capsys):
    torch.save({"conv1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match=r"evil\.pth: requires print, which files"):
        cut("resnet10t", weights=str(tmp_path / "evil.pth"))
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("none.safetensors", None, "none.safetensors: file does not exist"),
        ("broken.safetensors", b"not a file", "cannot be read as a safetensors file: is text that begins 'not a file'"),
        ("broken.pth", b"not a file", "cannot be read as a file of torch.save: is text that begins 'not a file'"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, name, content, text):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=text):
        cut("resnet10t", weights=str(tmp_path / name))


def test_a_file_with_other_things_is_refused(tmp_path):
    torch.save({"epoch": 3, "conv1.weight": torch.zeros(1)}, tmp_path / "mixed.pth")
    with pytest.raises(CheckpointError, match=r"mixed\.pth does not fit the backbone:\n    missing: .*"):
        cut("resnet10t", weights=str(tmp_path / "mixed.pth"))


def test_a_file_of_weights_takes_the_place_of_the_download(tmp_path, monkeypatch):
    torch.manual_seed(0)
    saved = timm.create_model("resnet10t", num_classes=0).state_dict()
    torch.save(saved, tmp_path / "w.pth")
    create = timm.create_model
    asked = []
    monkeypatch.setattr(timm, "create_model", lambda *a, **k: asked.append(k["pretrained"]) or create(*a, **k))
    stem = cut("resnet10t", pretrained=True, weights=str(tmp_path / "w.pth")).units["stem"].state_dict()
    assert asked == [False]
    assert torch.equal(stem["conv1.0.weight"], saved["conv1.0.weight"])


def test_pretrained_weights_that_cannot_be_had_name_the_way_out(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host.\nmore")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(CheckpointError) as error:
        cut("resnet10t", pretrained=True)
    expected = "the pretrained weights of resnet10t cannot be downloaded: no route to host; set WEIGHTS to a local file"
    assert str(error.value) == expected
