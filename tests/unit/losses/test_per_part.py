from __future__ import annotations

import pytest
import torch
from torch import nn

from vireid.core.binding import requested
from vireid.core.fields import BATCH_FIELDS
from vireid.core.types import ModelOutput, Progress
from vireid.losses.identity import IdentityCrossEntropy
from vireid.losses.objective import Objective, Term
from vireid.losses.per_part import PerPart
from vireid.losses.triplet import HeteroCenterTriplet


class Named(nn.Module):
    def forward(self, features, labels, attributes_known=None):
        self.known = attributes_known
        return {"mean": features.mean(), "top": features.max()}


def test_equals_the_sum_over_parts(batch):
    parts = torch.randn(len(batch), 3, 5)
    loss = HeteroCenterTriplet(margin=0.3)
    ours = PerPart(over="part_features", loss=loss)(part_features=parts, labels=batch.labels, modality=batch.modality)
    torch.testing.assert_close(ours, sum(loss(parts[:, part], batch.labels, batch.modality) for part in range(3)))


def test_named_scalars_are_summed_by_name():
    parts = torch.randn(4, 3, 5)
    result = PerPart(over="part_features", loss=Named())(part_features=parts, labels=torch.zeros(4))
    torch.testing.assert_close(result["mean"], parts.mean(dim=(0, 2)).sum())
    torch.testing.assert_close(result["top"], parts.amax(dim=(0, 2)).sum())


def test_the_request_is_that_of_the_inner_loss():
    assert requested(PerPart(over="part_logits", loss=IdentityCrossEntropy())) == {"part_logits": True, "labels": True}
    expected = {"part_features": True, "labels": True, "attributes_known": False}
    assert requested(PerPart(over="part_features", loss=Named())) == expected


def test_in_an_objective_it_is_served_by_name_and_follows_uses(batch):
    logits = torch.randn(len(batch), 3, 4, requires_grad=True)
    out = ModelOutput({"part_logits": logits})
    loss = PerPart(over="part_logits", loss=IdentityCrossEntropy())
    objective = Objective({"id": Term(loss)}, provided=frozenset(BATCH_FIELDS) | {"part_logits"})
    total, terms = objective(batch, out, Progress())
    expected = sum(nn.functional.cross_entropy(logits[:, part], batch.labels) for part in range(3))
    torch.testing.assert_close(total, expected)
    assert set(terms) == {"id"}


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ("logits", "over 'logits' is not a field of parts"),
        ("part_features", "provides 'features', which IdentityCrossEntropy does not read"),
        ("part_logit", "did you mean 'logits'"),
    ],
)
def test_a_field_that_the_inner_loss_cannot_take_is_refused(over, text):
    with pytest.raises(ValueError, match=text):
        PerPart(over=over, loss=IdentityCrossEntropy())


def test_state_of_the_inner_loss_is_its_state():
    inner = nn.Linear(2, 1)
    inner.forward = lambda features: features.sum()
    assert set(PerPart(over="part_features", loss=inner).state_dict()) == {"loss.weight", "loss.bias"}
