"""Layer-wise learning-rate decay of each family of backbones, and parameters without weight decay."""

from __future__ import annotations

import re

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from vireid.config.build import Build
from vireid.config.check import load_checked
from vireid.core.errors import ConfigError
from vireid.core.registries import BACKBONES
from vireid.engine.layer_decay import layer_scales, without_decay
from vireid.engine.optim import SGD, parameter_groups
from vireid.layers.non_local import NonLocal
from vireid.models import AveragePool, CrossModalityNet, IdentityHead, TwoStreamBackbone, TwoStreamSwin, TwoStreamViT
from vireid.testing import TinyBackbone, build_example
from vireid.zoo.configs import config_path

DECAY = 0.75


def network(backbone: nn.Module) -> CrossModalityNet:
    head = IdentityHead(num_ids=3, channels=backbone.channels)
    return CrossModalityNet(backbone=backbone, pool=AveragePool(), heads={"id": head})


def scales(net: nn.Module, decay: float = DECAY, **options: object) -> dict[str, float]:
    """Parameter name -> factor of its learning rate."""
    groups = parameter_groups(net, nn.Identity(), options.pop("lr_scale", {}), layer_decay=decay, **options)
    of = {id(parameter): group["scale"] for group in groups for parameter in group["params"]}
    return {name: of[id(parameter)] for name, parameter in net.named_parameters() if parameter.requires_grad}


def test_a_vision_transformer_has_the_factors_of_timm():
    """12 blocks: embedding .75^13, last block and norm .75; compared with the groups that timm makes."""
    with torch.device("meta"):
        reference = timm.create_model("vit_base_patch16_224", num_classes=2)
        net = network(TwoStreamViT(arch="vit_base_patch16_224", image_size=(32, 32), share_from=2))
    groups = param_groups_layer_decay(reference, layer_decay=DECAY)
    of = {id(parameter): group["lr_scale"] for group in groups for parameter in group["params"]}
    theirs = {name: of[id(parameter)] for name, parameter in reference.named_parameters()}
    found = scales(net)
    for ours, scale in found.items():
        name = re.sub(r"^backbone\.\w+\.", "", ours)
        name = re.sub(r"^block(\d+)\.block", r"blocks.\1", name)
        name = name.removeprefix("embed.").replace("proj.", "patch_embed.proj.") if "embed." in name else name
        assert scale == pytest.approx(theirs.get(name, 1.0)), ours
        assert ours.startswith("backbone.") == (name in theirs), ours
    assert found["backbone.visible.embed.proj.weight"] == pytest.approx(0.75**13)
    assert found["backbone.infrared.block0.block.norm1.weight"] == pytest.approx(0.75**12)
    assert found["backbone.shared.norm.weight"] == found["backbone.shared.block11.block.mlp.fc2.bias"] == 0.75


# Number of layers, and the layer of some parameters: the stem is 0, then each block.
CNNS = {
    "resnet18": (9, {"visible.stem.conv1": 0, "infrared.stage1.0.conv1": 1, "shared.stage2.1.conv1": 4, "stage4.1": 8}),
    "regnetx_002": (14, {"visible.stem.conv": 0, "shared.stage4.b7.": 13}),
    "convnext_atto": (13, {"shared.stage2.downsample.": 3, "shared.stage2.blocks.0.": 3, "stage4.blocks.1.": 12}),
    "tf_efficientnet_lite0": (
        16,  # block 0 belongs to the stem
        {
            "visible.stem.conv_stem": 0,
            "stem.0.0.": 0,
            "stage1.1.0": 1,
            "stage4.blocks.6.0.": 15,
            "stage4.conv_head": 15,
        },
    ),
}


@pytest.mark.parametrize("arch", CNNS)
def test_the_layers_of_a_cnn_are_its_blocks(arch):
    number, some = CNNS[arch]
    with torch.device("meta"):
        net = network(TwoStreamBackbone(arch=arch, share_from=2))
    assert len(net.backbone.layers()) == number
    found = scales(net)
    assert all(scale < 1 for name, scale in found.items() if name.startswith("backbone."))
    for part, layer in some.items():
        chosen = [scale for name, scale in found.items() if part in name]
        assert chosen, part
        assert chosen == pytest.approx([DECAY ** (number - layer)] * len(chosen)), part


def test_the_layers_of_a_swin_transformer_are_its_blocks():
    """Embedding, 2 + 2 + 6 + 2 blocks; merging of patches belongs to the block after it, the norm to the last."""
    with torch.device("meta"):
        net = network(TwoStreamSwin(image_size=(64, 32), share_from=2))
    found = scales(net)
    assert len(net.backbone.layers()) == 13
    layers = {".blocks.0.norm1": {1, 3, 5, 11}, "downsample.": {3, 5, 11}}
    for part, expected in layers.items():
        chosen = {scale for name, scale in found.items() if part in name and name.startswith("backbone.")}
        factors = sorted(DECAY ** (13 - layer) for layer in expected)
        assert sorted(chosen) == pytest.approx(factors), part
    last = [scale for name, scale in found.items() if "layer4.norm." in name or "layer4.layer.blocks.1." in name]
    assert len(last) > 10
    assert set(last) == {DECAY}
    assert found["backbone.infrared.embed.proj.weight"] == pytest.approx(DECAY**13)
    assert any(name.endswith("relative_position_bias_table") for name in without_decay(net, nn.Identity()))


def test_the_local_branch_of_jigsaw_patches_has_the_factor_of_the_last_layer():
    net = network(TwoStreamViT(arch="test_vit", image_size=(64, 64), jigsaw_parts=2))
    local = {scale for name, scale in scales(net).items() if name.startswith("backbone.local.")}
    assert local == {DECAY}


def test_inserts_are_new_and_learn_at_the_full_rate():
    net = network(TwoStreamBackbone(arch="test_resnet", share_from=1, inserts={"stage2": NonLocal(count=1)}))
    found = scales(net)
    assert {scale for name, scale in found.items() if "_insert." in name} == {1.0}
    assert all(scale < 1 for name, scale in found.items() if name.startswith("backbone.") and "_insert." not in name)


@pytest.mark.parametrize("name", sorted(set(BACKBONES) - {"TinyBackbone"}))  # which has no layers
def test_every_backbone_numbers_each_module_once(name):
    """Paths exist, do not overlap, and a copy of a layer in the other stream has its number."""
    backbone = build_example(BACKBONES.get(name).target, num_ids=4)
    paths = [path for layer in backbone.layers() for path in layer]
    assert len(set(paths)) == len(paths) > 2
    assert all(isinstance(backbone.get_submodule(path), nn.Module) for path in paths)
    assert not any(path.startswith(f"{other}.") for path in paths for other in paths)
    for layer in backbone.layers():
        streams = [{p.split(".", 1)[1] for p in layer if p.startswith(s)} for s in ("visible.", "infrared.")]
        assert streams[0] == streams[1]


def test_the_config_check_refuses_what_is_not_possible():
    with pytest.raises(ConfigError, match=r"SOLVER\.LAYER_DECAY = 1\.5 is not in \(0, 1\]"):
        load_checked(config_path("sysu/baseline"), {"SOLVER.LAYER_DECAY": 1.5})
    with pytest.raises(ConfigError, match=r"SOLVER\.DECAYED = 'matrixes' .* did you mean 'matrices'"):
        load_checked(config_path("sysu/baseline"), {"SOLVER.DECAYED": "matrixes"})
    build = Build(load_checked(config_path("sysu/baseline"), {"SOLVER.LAYER_DECAY": 0.5, "SOLVER.DECAYED": "matrices"}))
    assert build.group_options() == {"layer_decay": 0.5, "decayed": "matrices"}


def test_the_factor_multiplies_those_of_paths():
    net = network(TwoStreamViT(arch="test_vit", image_size=(32, 32)))
    found = scales(net, lr_scale={"backbone": 0.5, "heads.id.classifier": 2.0})
    assert found["backbone.shared.norm.weight"] == 0.5 * DECAY
    assert found["heads.id.classifier.weight"] == 2.0


def test_a_backbone_without_layers_is_refused():
    with pytest.raises(ConfigError) as error:
        layer_scales(network(TinyBackbone(width=4)), 0.9)
    expected = "SOLVER.LAYER_DECAY = 0.9, but TinyBackbone does not number its layers; set it to null"
    assert str(error.value) == expected


def test_only_matrices_decay():
    net = network(TwoStreamViT(arch="test_vit", image_size=(32, 32), side="modality"))
    groups = parameter_groups(net, nn.Linear(2, 2), {}, decayed="matrices")
    optimizer = SGD(groups, lr=0.1, weight_decay=0.3)
    of = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    found = {name: of[id(parameter)] for name, parameter in net.named_parameters() if parameter.requires_grad}
    bare = {name for name, decay in found.items() if decay == 0}
    assert set(found.values()) == {0.0, 0.3}
    tokens = {f"backbone.{stream}.embed.{name}" for stream in ("visible", "infrared") for name in TOKENS}
    assert tokens <= bare
    parameters = dict(net.named_parameters())
    assert {name for name in bare if parameters[name].dim() > 1} == tokens
    assert {name for name in found if parameters[name].dim() <= 1} <= bare
    assert "objective.bias" in without_decay(net, nn.Linear(2, 2))


TOKENS = ("cls_token", "pos_embed", "side_embed")
