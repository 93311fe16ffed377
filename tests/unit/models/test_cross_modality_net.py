from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from torch import nn

from vireid.core.errors import ConfigError, DataError
from vireid.layers.norms import l2_normalize
from vireid.models.cross_modality_net import CrossModalityNet
from vireid.models.heads.identity import IdentityHead
from vireid.models.pooling import AveragePool, GeM
from vireid.testing import TinyBackbone


class Tripling(TinyBackbone):
    """Three rows for each image, in no order."""

    def forward(self, images, modality):
        feature_map, _ = super().forward(images, modality)
        source = torch.randperm(3 * len(images), generator=torch.Generator().manual_seed(0)) % len(images)
        factor = 1 + torch.arange(len(source), dtype=feature_map.dtype).view(-1, 1, 1, 1)
        return feature_map[source] * factor, source


class PartHead(nn.Module):
    provides = frozenset({"part_features", "part_logits"})
    training_only = frozenset({"part_logits"})

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.dims = {"part_features": channels, "part_logits": 4}
        self.linear = nn.Linear(channels, 4)

    def forward(self, feature_map):
        parts = feature_map.mean(3).transpose(1, 2)
        return {"part_features": parts, "part_logits": self.linear(parts)}


class PriorHead(nn.Module):
    """Training only as a whole; reads what it is told to."""

    provides = training_only = frozenset({"attribute_logits"})
    dims: ClassVar[dict[str, int]] = {"attribute_logits": 8}

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.calls = nn.Linear(16, 8), 0

    def forward(self, attribute_feature):
        self.calls += 1
        return {"attribute_logits": self.linear(attribute_feature)}


class Labels(nn.Module):
    """An attribute source that needs annotation and predicts on the side."""

    provides = frozenset({"attribute_prior_logits"})

    def forward(self, pooled_image, attributes, attributes_known=None):
        return attributes, {"attribute_prior_logits": pooled_image[:, :8]}


class Gate(nn.Module):
    provides = frozenset({"attribute_feature"})

    def forward(self, pooled, feature_map, attributes):
        assert len(attributes) == len(feature_map)
        return feature_map * (1 + attributes.mean(1).view(-1, 1, 1, 1)), {"attribute_feature": 2 * pooled}


def net(backbone=None, heads=None, **more) -> CrossModalityNet:
    heads = {"id": IdentityHead(num_ids=4, channels=16)} if heads is None else heads
    return CrossModalityNet(backbone=backbone or TinyBackbone(), pool=more.pop("pool", GeM()), heads=heads, **more)


def test_fields_of_training_and_of_evaluation(batch):
    model = net()
    out = model(batch)
    assert out.source is None
    assert set(out.values) == model.provides
    assert model.provides == {"feature_map", "pooled", "pooled_image", "features", "features_bn", "logits"}
    assert set(model.eval()(batch).values) == model.provides - {"logits"}
    assert out.values["pooled_image"] is out.values["pooled"]


def test_widths_of_all_fields():
    model = net(heads={"id": IdentityHead(num_ids=4, channels=16), "parts": PartHead()})
    assert model.dims == {
        **dict.fromkeys(("feature_map", "pooled", "pooled_image", "features", "features_bn", "part_features"), 16),
        **dict.fromkeys(("logits", "part_logits"), 4),
    }


def test_uses_moves_a_request(batch):
    model = net(
        heads={"prior": PriorHead(), "id": IdentityHead(num_ids=4, channels=16)},
        uses={"prior": {"attribute_feature": "pooled_image"}},
    )
    logits = model(batch).values["attribute_logits"]
    torch.testing.assert_close(logits, model.heads["prior"].linear(model(batch).values["pooled"]))


def test_a_head_of_training_does_not_run_in_evaluation(batch):
    model = net(
        heads={"id": IdentityHead(num_ids=4, channels=16), "prior": PriorHead()},
        uses={"prior": {"attribute_feature": "pooled"}},
    )
    assert "attribute_logits" not in model.eval()(batch).values
    assert model.heads["prior"].calls == 0


def test_heads_see_what_heads_before_them_gave(batch):
    class Second(PartHead):
        provides = frozenset({"features_att"})
        dims: ClassVar[dict[str, int]] = {"features_att": 16}

        def __init__(self):
            nn.Module.__init__(self)

        def forward(self, part_features):
            return {"features_att": part_features.sum(1)}

    first, second = PartHead(), Second()
    assert "features_att" in net(heads={"a": first, "b": second}, embedding=["features_att"])(batch).values
    with pytest.raises(ConfigError, match=r"MODEL\.HEADS\.B \(Second\) needs 'part_features', which nothing before"):
        net(heads={"b": second, "a": first}, embedding=["features_att"])


def test_half_precision_ends_at_the_pool(batch):
    model = net(heads={"id": IdentityHead(num_ids=4, channels=16), "parts": PartHead()})
    seen = {}
    model.backbone.register_forward_hook(lambda module, inputs, output: seen.update(map=output[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        out = model(batch)
        with torch.no_grad():
            rows = model.eval().embed(batch)
    assert seen["map"] == torch.bfloat16
    assert {name: value.dtype for name, value in out.values.items()} == dict.fromkeys(out.values, torch.float32)
    assert rows.dtype == torch.float32


def test_images_must_be_normalised(batch):
    with pytest.raises(ValueError, match=r"images must be normalized floats, got torch\.uint8"):
        net()(batch.with_images(batch.images.byte()))


# -- descriptors -----------------------------------------------------------------------------------------------------


def test_one_field_at_length_1(batch):
    model = net().eval()
    rows = model.embed(batch)
    torch.testing.assert_close(rows, l2_normalize(model(batch).values["features_bn"]))
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(batch)))


def test_one_field_may_keep_its_length_and_results_say_so(batch):
    model = net(normalize=False).eval()
    torch.testing.assert_close(model.embed(batch), model(batch).values["features_bn"])
    assert model.conditions == {"descriptor_lengths": "kept"}
    assert net().conditions == {}
    with pytest.raises(ConfigError, match=r"MODEL.NORMALIZE false needs a MODEL.EMBEDDING of one field"):
        net(normalize=False, embedding=["features", "features_bn"])


def test_fields_and_parts_side_by_side(batch):
    model = net(
        heads={"id": IdentityHead(num_ids=4, channels=16), "parts": PartHead()},
        embedding=["part_features", "features"],
    ).eval()
    rows, values = model.embed(batch), model(batch).values
    for row in range(len(batch)):
        pieces = [*values["part_features"][row], values["features"][row]]
        joined = torch.cat([piece / piece.norm() for piece in pieces])
        torch.testing.assert_close(rows[row], joined / len(pieces) ** 0.5)


def test_rows_of_one_image_side_by_side(batch):
    model = net(backbone=Tripling(), embedding=["features"]).eval()
    out, rows = model(batch), model.embed(batch)
    assert rows.shape == (len(batch), 48)
    for image in range(len(batch)):
        pieces = out.values["features"][out.source == image]
        torch.testing.assert_close(rows[image], torch.cat(list(l2_normalize(pieces))) / 3**0.5)


def test_descriptors_follow_the_order_of_rows(batch):
    model, order = net(backbone=Tripling(), embedding=["features_bn"]).eval(), torch.randperm(len(batch))
    plain = net().eval()
    torch.testing.assert_close(plain.embed(batch)[order], plain.embed(batch.select(order)))
    assert model.embed(batch).shape == (len(batch), 48)


def test_describing_in_training_is_our_own_mistake(batch):
    with pytest.raises(AssertionError, match="needs evaluation mode"):
        net().embed(batch)


# -- adapter and attribute source ------------------------------------------------------------------------------------


def test_the_adapter_stands_between_backbone_and_heads(batch):
    model = net(adapter=Gate(), attributes=Labels(), pool=AveragePool())
    values = model(batch).values
    assert model.provides >= {"attribute_feature", "attribute_prior_logits"}
    factor = 1 + batch.attributes.mean(1, keepdim=True)
    torch.testing.assert_close(values["pooled"], values["pooled_image"] * factor)
    torch.testing.assert_close(values["features"], values["pooled"])
    torch.testing.assert_close(values["attribute_feature"], 2 * values["pooled_image"])
    torch.testing.assert_close(values["attribute_prior_logits"], values["pooled_image"][:, :8])


def test_attributes_follow_the_rows(batch):
    out = net(backbone=Tripling(), adapter=Gate(), attributes=Labels(), pool=AveragePool())(batch)
    factor = 1 + batch.attributes.mean(1, keepdim=True)[out.source]
    torch.testing.assert_close(out.values["pooled"], out.values["pooled_image"] * factor)


def test_a_batch_without_attributes_says_where_they_come_from(batch):
    model = net(adapter=Gate(), attributes=Labels())
    text = r"MODEL\.ATTRIBUTES \(Labels\) needs attributes, which the batch does not contain; set DATA\.ATTRIBUTES"
    with pytest.raises(DataError, match=text):
        model(replace(batch, attributes=None, attributes_known=None))
    model(replace(batch, attributes_known=None))  # this one is optional


# -- faults ----------------------------------------------------------------------------------------------------------


def problems(**arguments) -> list[str]:
    with pytest.raises(ConfigError) as error:
        net(**arguments)
    return [str(problem) for problem in error.value.problems]


def test_every_fault_is_told_at_once():
    heads = {"id": IdentityHead(num_ids=4, channels=16), "attributes": PriorHead()}
    uses = {"id": {"poled": "pooled"}, "atributes": {"attribute_feature": "pooled"}}
    assert problems(heads=heads, uses=uses, embedding=["featurs_bn", "logits", "feature_map"]) == [
        "MODEL.HEADS.ATRIBUTES: USES is set, but this head does not exist; did you mean 'attributes'?",
        "MODEL.HEADS.ID (IdentityHead) USES names 'poled', which is not a parameter; did you mean 'pooled'?"
        " (parameters: pooled)",
        "MODEL.HEADS.ATTRIBUTES (PriorHead) needs 'attribute_feature', which nothing before it provides"
        "\n    (provided: feature_map, features, features_bn, logits, modality, pooled, pooled_image)",
        "MODEL.EMBEDDING: nothing provides 'featurs_bn'; did you mean 'features_bn'?"
        "\n    (provided: attribute_logits, feature_map, features, features_bn, logits, pooled, pooled_image)",
        "MODEL.EMBEDDING: 'logits' is computed in training only",
        "MODEL.EMBEDDING: 'feature_map' has the shape (R, C, H, W) and is not an embedding; name a field such as"
        " features_bn",
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"adapter": Gate()}, "MODEL.ADAPTER (Gate) needs attributes; set MODEL.ATTRIBUTES to their source"),
        (
            {"attributes": Labels()},
            "MODEL.ATTRIBUTES (Labels) is unused because MODEL.ADAPTER is none; set MODEL.ATTRIBUTES: {NAME: none}",
        ),
        ({"embedding": []}, "MODEL.EMBEDDING is empty; retrieval needs at least one field"),
        (
            {"heads": {name: IdentityHead(num_ids=4, channels=16) for name in ("a", "b")}},
            "MODEL.HEADS.B (IdentityHead) provides 'features', which a part before it already provides",
        ),
    ],
)
def test_slots_are_checked(arguments, expected):
    assert expected in problems(**arguments)


def test_a_field_outside_the_vocabulary_is_refused():
    head = IdentityHead(num_ids=4, channels=16)
    head.provides = head.provides | {"logitss"}
    (text,) = problems(heads={"id": head})
    assert text == (
        "MODEL.HEADS.ID (IdentityHead) provides 'logitss', which core/fields.py does not define; did you mean 'logits'?"
    )


class Half(TinyBackbone):
    """A backbone under autocast: its map is bfloat16."""

    def forward(self, images, modality):
        feature_map, source = super().forward(images, modality)
        return feature_map.bfloat16(), source


class Look(PartHead):
    def forward(self, feature_map):
        self.seen = feature_map.dtype
        return super().forward(feature_map)


def test_the_map_is_cast_only_for_a_head_that_reads_it(batch):
    assert net(Half())(batch).values["feature_map"].dtype == torch.bfloat16
    look = Look()
    out = net(Half(), {"id": IdentityHead(num_ids=4, channels=16), "parts": look})(batch).values
    assert look.seen == torch.float32
    assert {out[name].dtype for name in ("features", "features_bn", "logits", "part_logits")} == {torch.float32}


class Told(TinyBackbone):
    def forward(self, images, modality, visible=None):
        self.told = visible
        return super().forward(images, modality)


def test_a_backbone_that_asks_is_told_how_many_rows_are_visible(batch):
    backbone = Told()
    net(backbone)(batch)
    assert backbone.told is None
    net(backbone)(batch.select(torch.argsort(batch.modality, stable=True)).to("cpu"))
    assert backbone.told == 12
