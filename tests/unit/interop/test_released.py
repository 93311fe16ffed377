from __future__ import annotations

import re

import pytest
import torch

from vireid.core.errors import CheckpointError
from vireid.interop import released
from vireid.interop.released.files import families
from vireid.losses.adversarial import ModalityConfusion
from vireid.zoo.models import create_model

DROPPED = (  # used by a release, and without a counterpart here
    r"local_conv_list\.[1-9]\.1\.num_batches_tracked",  # HCT counts batches for each stripe, ours once
    r"bottleneck[23g]\.num_batches_tracked",  # RLE counts batches for each neck, ours once
    r"(attention_\d|out_att)\.(W|a)",  # DDAG's graph belongs to a loss
    r"wpa\.fc2\.bias",  # has no effect in DDAG's part attention
    r"(visible|infrared)_classifier_?\.weight",  # MPANet's and SAAI's classifiers of one modality belong to a loss
    r"MDA_\d\.\d\.sc_conv\.bias",  # has no effect in MCJA's adapters
    r"memory(_\w+)?\.features",  # MCE's memories belong to a loss
)
DROPPED_OF = {"mce": (r"classifier\.weight",)}  # an option of its release
TO_ROUNDING = {"backbone.pool.p"}  # MCE's exponent is a logarithm here


def tensors(model: str, num_ids: int = 5, *, dead: bool = False) -> dict[str, torch.Tensor]:
    """A released checkpoint with numbers that tell tensors and entries apart; without what the release never uses."""
    result, generator = {}, torch.Generator().manual_seed(0)
    for key in released.release(model).keys:
        if not (key.used or dead):
            continue
        factors = {released.release(model).num_ids: 1, 2 * released.release(model).num_ids: 2}  # axes of identities
        shape = tuple(factors[size] * num_ids if size in factors else size for size in key.shape)
        value = torch.rand(shape, generator=generator)
        result[key.name] = value if shape else torch.tensor(7)
    return result


@pytest.fixture(scope="module")
def agw():
    return tensors("agw")


@pytest.mark.parametrize("model", released.CONFIGS)
def test_every_tensor_of_our_network_comes_from_the_release_and_goes_back(model):
    given = tensors(model)
    net = create_model(released.CONFIGS[model], num_ids=5)
    net.load_state_dict(released.to_ours(model, given), strict=True)
    back = released.to_released(model, net.state_dict())
    patterns = (*DROPPED, *DROPPED_OF.get(model, ()))
    dropped = {name for name in given if re.fullmatch("|".join(patterns), name)}
    assert set(back) == set(given) - dropped
    assert all(torch.equal(back[name], given[name]) for name in set(back) - TO_ROUNDING)
    assert all(torch.allclose(back[name], given[name], rtol=1e-6, atol=0) for name in set(back) & TO_ROUNDING)


def test_numbers_of_the_release():
    """AGW's checkpoint: 630 of 1025 tensors, 47.1 of 71.5 million numbers, take part in no forward pass."""
    keys = released.release("agw").keys
    assert (len(keys), sum(not key.used for key in keys)) == (1025, 630)
    used = sum(torch.Size(key.shape).numel() for key in keys if key.used)
    assert used == 71_537_652 - 47_112_745


def test_all_tensors_of_pmt_are_used():
    """Its file is the state dict of one ViT-B/16 with 21 x 10 patches, a neck and a classifier."""
    keys = {key.name: key for key in released.release("pmt").keys}
    assert len(keys) == 156
    assert all(key.used for key in keys.values())
    assert keys["base.pos_embed"].shape == (1, 1 + 21 * 10, 768)


def test_non_local_blocks_follow_the_last_blocks_of_their_stage(agw):
    ours = released.to_ours("agw", agw)
    for stage, number, block in ((2, 0, 2), (2, 1, 3), (3, 0, 3), (3, 1, 4), (3, 2, 5)):
        inner = ours[f"backbone.shared.stage{stage}.{block}_insert.inner.weight"]
        for row, name in enumerate(("theta", "phi", "g.0")):
            assert torch.equal(inner[row : row + 1], agw[f"NL_{stage}.{number}.{name}.weight"])


def test_stripes_stay_in_order():
    given = tensors("hct_parts")
    ours = released.to_ours("hct_parts", given)
    assert torch.equal(ours["heads.parts.project.weight"][4], given["local_conv_list.4.0.weight"].flatten(1))
    assert torch.equal(ours["heads.parts.norm.running_var"][256:512], given["local_conv_list.1.1.running_var"])
    assert torch.equal(ours["heads.parts.classifier.bias"][5], given["fc_list.5.bias"])


def test_thirds_and_whole_of_rle_stay_in_order():
    given = tensors("rle_regdb")
    ours = released.to_ours("rle_regdb", given)
    assert torch.equal(ours["heads.parts.neck.weight"][3072:], given["bottleneckg.weight"])
    assert torch.equal(ours["heads.parts.neck.running_var"][1024:2048], given["bottleneck2.running_var"])
    assert torch.equal(ours["heads.parts.part_classifier.weight"][2], given["classifier3.weight"])
    assert not any("stage4" in name for name in ours)


def test_dead_tensors_are_dropped(agw):
    dead = agw | {"base_resnet.base.conv1.weight": torch.zeros(64, 3, 7, 7)}
    assert set(released.to_ours("agw", dead)) == set(released.to_ours("agw", agw))


def test_every_tensor_that_does_not_fit_is_listed(agw):
    wrong = {name: value for name, value in agw.items() if name != "NL_2.0.theta.bias"}
    wrong["bottleneck.weight"] = torch.zeros(3)
    wrong["attribute.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError) as error:
        released.to_ours("agw", wrong)
    assert str(error.value) == (
        "not a checkpoint of the released 'agw':"
        "\n    missing: NL_2.0.theta.bias"
        "\n    unknown: attribute.weight"
        "\n    of another shape: bottleneck.weight (3,), expected (2048,)"
    )


def test_stripes_that_disagree_about_the_identities_are_refused():
    given = tensors("hct_parts")
    given["fc_list.2.bias"] = torch.zeros(6)
    with pytest.raises(CheckpointError, match=re.escape("fc_list.2.bias (6,)")):
        released.to_ours("hct_parts", given)


def test_a_checkpoint_of_another_release_is_refused(agw):
    with pytest.raises(CheckpointError, match=r"unknown: NL_2.0.W.0.bias, .* and \d+ more"):
        released.to_ours("agw_base", agw)


def test_an_unknown_release_is_named():
    with pytest.raises(ValueError, match="no released network is called 'agw_bas'; did you mean 'agw_base'"):
        released.release("agw_bas")


@pytest.mark.parametrize("model", released.MODELS)
def test_axes_that_count_identities_are_those_of_classifiers_and_memories(model):
    """They are told by their length alone, so no width of a network may have it."""
    found = released.release(model)
    counting = {key.name for key in found.keys if {found.num_ids, 2 * found.num_ids} & set(key.shape)}
    assert counting or model == "mclnet_discriminator"
    assert not [name for name in counting if not re.search(r"classifier|^_?fc|^memory|^out_att", name)]


@pytest.mark.parametrize("model", released.MODELS)
def test_every_used_tensor_has_a_place(model):
    layout = released.LAYOUTS[model]
    placed = [layout.place(key.name) for key in released.release(model).keys if key.used]
    assert any(placed)


def test_mclnet_is_agw(agw):
    assert released.to_ours("mclnet", agw).keys() == released.to_ours("agw", agw).keys()


def test_the_discriminator_of_mclnet_fills_the_critic():
    loss, given = ModalityConfusion(feature_dim=2048), tensors("mclnet_discriminator")
    ours = released.to_ours("mclnet_discriminator", given)
    assert set(ours) == set(loss.names)
    loss.load_state_dict(loss.state_dict() | ours)
    assert torch.equal(loss.weight2, given["map3.weight"])


def test_caj_is_agw(agw):
    assert released.to_ours("caj", agw).keys() == released.to_ours("agw", agw).keys()


def test_the_number_of_identities_is_read_from_the_classifier(agw):
    assert released.identities("agw", agw) == 5


def test_paenet_is_mmd_with_the_released_adapter():
    """Emb2, fusion block and old classifier are dead; of ours, only the mean of the labels is not in the file."""
    net = create_model("paenet_released", num_ids=5)
    given = tensors("paenet")
    net.load_state_dict(released.to_ours("paenet", given), strict=True)
    assert net.state_dict()["attributes.prior"].tolist() == [0.5] * 8
    assert torch.equal(net.heads["attributes"].classifier.weight[3:4], given["class_3.classifier.0.weight"])
    found = released.release("paenet")
    sizes = {key.name: torch.Size(key.shape).numel() for key in found.keys if not key.used}
    of = {prefix: sum(n for name, n in sizes.items() if name.startswith(prefix)) for prefix in ("ASENet", "classifier")}
    assert of == {"ASENet": 8_409_088, "classifier": 808_960}


def test_the_necks_of_saai_keep_their_modality():
    for model in ("saai", "saai_regdb"):
        given = tensors(model)
        ours = released.to_ours(model, given)
        for short, name in (("v", "visible"), ("i", "infrared")):
            running_mean = given[f"bn_neck.bn_neck_{short}.running_mean"]
            assert torch.equal(ours[f"heads.id.neck.{name}.running_mean"], running_mean)
    assert "saai_regdb" not in families()


def test_the_converter_knows_every_release():
    wanted = "adca pgm agw caj ddag deen hct hct_parts mmd mpanet mclnet mce mcja paenet saai"
    assert set(wanted.split()) <= set(families())
