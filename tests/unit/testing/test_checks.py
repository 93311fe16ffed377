"""Each check finds the fault that it is there for."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn

from vireid.losses.triplet import BatchHardTriplet
from vireid.models.heads.identity import IdentityHead
from vireid.models.pooling import GeM
from vireid.testing import (
    TinyBackbone,
    build_example,
    check_backbone,
    check_gradients,
    check_head,
    check_insert,
    check_loss,
    check_no_wait,
    check_pool,
    check_term_schedule,
    tiny_batch,
    tiny_fields,
)

# -- losses ----------------------------------------------------------------------------------------------------------


class FirstHalf(nn.Module):
    """Takes the first half of the rows for the visible ones."""

    def forward(self, features):
        half = len(features) // 2
        return (features[:half].mean(0) - features[half:].mean(0)).square().sum()


class Rows(nn.Module):
    def forward(self, features):
        return features.square().sum(1)


class Forgetful(nn.Module):
    """Counts its calls outside the state dict."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, features):
        self.calls += 1
        return self.calls * features.square().mean()


class Detached(nn.Module):
    def forward(self, features):
        return features.detach().square().mean()


class Steep(nn.Module):
    """A root without a floor: its gradient at 0 is infinite."""

    def forward(self, features):
        return features.square().sum().sqrt() + (features - features).abs().sum().sqrt()


class InPlace(nn.Module):
    def forward(self, features):
        features.data.mul_(2)
        return features.square().mean()


class Unknown(nn.Module):
    def forward(self, feetures):
        return feetures.sum()


class Idle(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Parameter(torch.ones(())), nn.Parameter(torch.ones(()))

    def forward(self, features):
        return self.used * features.square().mean()


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (FirstHalf, "FirstHalf: its value depends on the order of rows"),
        (Rows, r"Rows: the result has shape \(24,\), not one value"),
        (Forgetful, "Forgetful: .*(depends on the order of rows|does not hold all state)"),
        (Steep, "Steep: the gradient of features is not finite"),
        (InPlace, "InPlace: it changes its input features"),
        (Unknown, "core/fields.py does not define feetures: add the field"),
        (Idle, "Idle: nothing reaches parameter unused"),
    ],
)
def test_a_bad_loss_is_found(loss, text):
    with pytest.raises(AssertionError, match=text):
        check_loss(loss)


def test_a_loss_without_a_graph_is_found():
    with pytest.raises(RuntimeError, match="does not require grad"):
        check_loss(Detached)


def test_a_good_loss_passes_with_fields_of_the_authors_choice():
    batch = tiny_batch()
    check_loss(BatchHardTriplet, fields=tiny_fields(["features", "labels"], batch, seed=3))


# -- heads -----------------------------------------------------------------------------------------------------------


class UniformAttention(nn.Module):
    """The released Emb2: its attention is computed on a 1 x 1 map, so the softmax is 1 whatever the weights."""

    provides = frozenset({"features"})
    dims: ClassVar[dict[str, int]] = {"features": 16}

    def __init__(self):
        super().__init__()
        self.score, self.project = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, pooled):
        attention = self.score(pooled).unsqueeze(2).softmax(dim=2).squeeze(2)
        return {"features": self.project(pooled * attention)}


class Wide(IdentityHead):
    def __init__(self, num_ids=4, channels=16):
        super().__init__(num_ids=num_ids, channels=channels)
        self.dims["features_bn"] = 17


class Silent(IdentityHead):
    """Forgets what it promised."""

    def __init__(self):
        super().__init__(num_ids=4, channels=16)

    def forward(self, pooled):
        return {name: value for name, value in super().forward(pooled).items() if name != "features"}


class BatchDependent(nn.Module):
    provides = frozenset({"features"})
    dims: ClassVar[dict[str, int]] = {"features": 16}

    def forward(self, pooled):
        return {"features": pooled - pooled[:1]}


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (UniformAttention, r"UniformAttention: gradients at rounding level, .*: score\.weight, score\.bias"),
        (Wide, "Wide: features_bn is 16 wide, `dims` declares 17"),
        (Silent, "Silent: it provides .* in training and declares"),
        (BatchDependent, "BatchDependent: in evaluation a row depends on the others"),
    ],
)
def test_a_bad_head_is_found(head, text):
    with pytest.raises(AssertionError, match=text):
        check_head(head)


def test_a_bias_right_before_a_batch_norm_is_exempt():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))
    module(torch.randn(8, 4)).square().sum().backward()
    check_gradients(module, "module")
    apart = nn.ModuleDict({"norm": module[1], "first": module[0], "last": module[2]})  # no longer one after the other
    with pytest.raises(AssertionError, match=r"gradients at rounding level, .*: first\.bias"):
        check_gradients(apart, "module")


# -- pools, backbones, inserts, schedules ----------------------------------------------------------------------------


class KeepsHalf(GeM):
    def forward(self, feature_map):
        return super().forward(feature_map).to(feature_map.dtype)


class Sorting(TinyBackbone):
    """Gives back the visible rows first."""

    def forward(self, images, modality):
        order = torch.argsort(modality, stable=True)
        return super().forward(images[order], modality[order])


class Narrow(TinyBackbone):
    def __init__(self):
        super().__init__()
        self.channels = 15


class Shrinking:
    count = 1

    def build(self, channels):
        return nn.Conv2d(channels, channels, 3)


class Climbing:
    def __init__(self):
        self.value = 0.0

    def __call__(self, progress):
        self.value += 1
        return self.value


@pytest.mark.parametrize(
    ("check", "part", "text"),
    [
        (check_pool, KeepsHalf, "KeepsHalf: half precision must be pooled in float32"),
        (check_backbone, Sorting, "Sorting: its rows do not follow the order of the images"),
        (check_backbone, Narrow, r"Narrow: the map is \(16, 16, 4, 2\); 16 rows and `channels` 15 expected"),
        (check_insert, Shrinking, r"Shrinking: \(24, 16, 6, 3\) became \(24, 16, 4, 1\)"),
        (check_term_schedule, Climbing, r"Climbing: it gives 1\.0, then 2\.0"),
    ],
)
def test_another_bad_part_is_found(check, part, text):
    with pytest.raises(AssertionError, match=text):
        check(part)


# -- building --------------------------------------------------------------------------------------------------------


class Demanding:
    def __init__(self, *, root: str, num_ids: int, depth: int = 2):
        self.root, self.num_ids, self.depth = root, num_ids, depth


class Helpful(Demanding):
    example: ClassVar[dict] = {"root": "here"}


def test_examples_and_facts_fill_a_constructor():
    built = build_example(Helpful)
    assert (built.root, built.num_ids, built.depth) == ("here", 4, 2)


def test_a_class_without_an_example_says_what_is_missing():
    with pytest.raises(AssertionError, match="Demanding needs root: give it a class attribute `example`"):
        build_example(Demanding)


# -- waiting for the device --------------------------------------------------------------------------------------------


class Looks(nn.Module):
    """Asks how many identities there are."""

    def forward(self, features, labels):
        return features.square().sum() / len(torch.unique(labels))


class Branches(nn.Module):
    def forward(self, features, labels):
        return features.sum() if bool(labels.any()) else features.sum() * 0


def on_meta(loss):
    fields = {name: value.to("meta") for name, value in tiny_fields(["features", "labels"], tiny_batch()).items()}
    return loss(fields["features"].requires_grad_(), fields["labels"])


@pytest.mark.parametrize("loss", [Looks, Branches])
def test_a_part_that_looks_at_values_waits(loss):
    with pytest.raises(AssertionError, match=f"{loss.__name__}: it looks at the values of tensors"):
        check_no_wait(loss, on_meta)


def test_a_part_that_only_computes_does_not():
    check_no_wait(BatchHardTriplet, on_meta)
