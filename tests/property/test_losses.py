"""What must hold for every loss on any batch."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from vireid.core.binding import requested
from vireid.losses.identity import IdentityCrossEntropy
from vireid.losses.mmd import MMD, MarginMMD
from vireid.losses.triplet import BatchHardTriplet, HeteroCenterTriplet, WeightedRegularizedTriplet

LOSSES = {
    "cross-entropy": IdentityCrossEntropy(smoothing=0.1),
    "batch-hard": BatchHardTriplet(margin=0.3),
    "hetero-centre": HeteroCenterTriplet(margin=0.3),
    "weighted": WeightedRegularizedTriplet(),
    "weighted released": WeightedRegularizedTriplet(released_eps=True),
    "mmd": MMD(),
    "margin-mmd": MarginMMD(margin=1.4),
    "margin-mmd hinge": MarginMMD(margin=1.4, mode="hinge"),
}
METRIC = ["batch-hard", "hetero-centre", "weighted", "weighted released", "mmd", "margin-mmd", "margin-mmd hinge"]


@st.composite
def batches(draw):
    """Fields of a batch with 2 to 5 identities and any number (>= 1) of rows of each identity and modality."""
    identities = draw(st.lists(st.integers(0, 30), min_size=2, max_size=5, unique=True))
    keys = [(i, m) for i in identities for m in (0, 1) for _ in range(draw(st.integers(1, 4)))]
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    labels, modality = torch.tensor(keys)[torch.randperm(len(keys), generator=generator)].unbind(1)
    spread = draw(st.sampled_from([0.1, 1.0, 10.0]))
    features = spread * torch.randn(len(keys), draw(st.integers(1, 8)), generator=generator, dtype=torch.float64)
    logits = torch.randn(len(keys), 31, generator=generator, dtype=torch.float64)
    return {"features": features, "labels": labels, "modality": modality, "logits": logits}


def value(name, fields):
    return LOSSES[name](**{key: fields[key] for key in requested(LOSSES[name])})


@pytest.mark.parametrize("name", LOSSES)
@given(fields=batches(), seed=st.integers(0, 1000))
def test_the_order_of_rows_means_nothing(name, fields, seed):
    order = torch.randperm(len(fields["labels"]), generator=torch.Generator().manual_seed(seed))
    shuffled = {key: tensor[order] for key, tensor in fields.items()}
    torch.testing.assert_close(value(name, fields), value(name, shuffled), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["batch-hard", "hetero-centre", "weighted", "mmd", "margin-mmd"])
@given(fields=batches())
def test_names_of_identities_mean_nothing(name, fields):
    renamed = fields | {"labels": 97 - fields["labels"]}
    torch.testing.assert_close(value(name, fields), value(name, renamed), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", METRIC)
@given(fields=batches())
def test_swapping_the_modalities_means_nothing(name, fields):
    swapped = fields | {"modality": 1 - fields["modality"]}
    torch.testing.assert_close(value(name, fields), value(name, swapped), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", METRIC)
@given(fields=batches(), shift=st.floats(-100, 100))
def test_moving_all_features_means_nothing(name, fields, shift):
    moved = fields | {"features": fields["features"] + shift}
    torch.testing.assert_close(value(name, fields), value(name, moved), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["mmd", "margin-mmd", "margin-mmd hinge"])
@given(fields=batches(), scale=st.floats(0.1, 10))
def test_the_kernel_width_follows_the_scale(name, fields, scale):
    """Up to the 1e-9 that is added to it, far below squared distances here."""
    large = fields | {"features": 1e3 * fields["features"]}
    scaled = fields | {"features": 1e3 * scale * fields["features"]}
    torch.testing.assert_close(value(name, large), value(name, scaled), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [BatchHardTriplet, HeteroCenterTriplet])
@given(fields=batches(), scale=st.floats(0.1, 10))
def test_triplets_scale_with_features_and_margin(kind, fields, scale):
    """Up to the floor of 1e-6 under each distance."""
    request = requested(kind())
    given_fields = {key: fields[key] for key in request}
    scaled = given_fields | {"features": scale * given_fields["features"]}
    expected = scale * kind(margin=0.5)(**given_fields)
    torch.testing.assert_close(kind(margin=0.5 * scale)(**scaled), expected, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
@given(fields=batches())
def test_no_loss_is_negative(name, fields):
    assert value(name, fields).item() >= -1e-12
    if "mmd" in name:
        assert value(name, fields).item() <= 10


@given(fields=batches())
def test_a_hinge_costs_at_most_what_the_threshold_costs(fields):
    assert value("margin-mmd hinge", fields).item() <= value("margin-mmd", fields).item() + 1e-12
    assert (
        value("margin-mmd", fields).item()
        <= MarginMMD()(fields["features"], fields["labels"], fields["modality"]).item() + 1e-12
    )
