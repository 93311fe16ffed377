from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from vireid.core.errors import ConfigError, DataError
from vireid.core.fields import BATCH_FIELDS
from vireid.core.types import ModelOutput, Progress
from vireid.losses.identity import IdentityCrossEntropy
from vireid.losses.objective import Objective, Term
from vireid.losses.schedules import InverseEpochLoss
from vireid.losses.triplet import HeteroCenterTriplet

PROVIDED = frozenset(BATCH_FIELDS) | {"features", "logits", "pooled"}


class Mean(nn.Module):
    def forward(self, features):
        return features.mean()


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, features, attributes_known=None):
        self.seen += 1
        return {"sum": self.scale * features.sum(), "kl": features.square().sum()}


class Seen(nn.Module):
    """Keeps what it was given."""

    def forward(self, features, labels, cameras, attributes):
        self.given = {"features": features, "labels": labels, "cameras": cameras, "attributes": attributes}
        return features.sum() * 0


def features(batch, *, dtype=torch.float32, rows=None) -> ModelOutput:
    rows = rows or len(batch)
    generator = torch.Generator().manual_seed(0)
    values = {
        "features": torch.randn(rows, 5, generator=generator),
        "logits": torch.randn(rows, 4, generator=generator),
    }
    values = {name: value.to(dtype).requires_grad_() for name, value in values.items()}
    return ModelOutput(values | {"pooled": values["features"]})


def test_the_total_is_the_weighted_sum_and_the_log_is_unweighted(batch):
    terms = {
        "id": Term(IdentityCrossEntropy()),
        "triplet": Term(HeteroCenterTriplet(), weight=2.0, schedule=lambda progress: progress.epoch / 4),
        "mutual": Term(Two(), weight=0.5, uses={"features": "pooled"}),
    }
    out = features(batch)
    total, logged = Objective(terms, provided=PROVIDED)(batch, out, Progress(epoch=3))
    assert set(logged) == {"id", "triplet", "mutual/sum", "mutual/kl"}
    x, y = out.values["features"], batch.labels
    torch.testing.assert_close(logged["triplet"], HeteroCenterTriplet()(x, y, batch.modality).detach())
    expected = IdentityCrossEntropy()(out.values["logits"], y) + 1.5 * HeteroCenterTriplet()(x, y, batch.modality)
    torch.testing.assert_close(total, expected + 0.5 * (x.sum() + x.square().sum()))
    assert not any(value.requires_grad for value in logged.values())
    total.backward()
    assert x.grad is not None


def test_losses_are_children_under_their_names():
    """LR_SCALE says objective.mutual; checkpoints hold mutual.*."""
    objective = Objective({"mutual": Term(Two())}, provided=PROVIDED)
    assert set(objective.state_dict()) == {"mutual.scale", "mutual.seen"}


def test_rows_are_expanded_by_source(batch):
    source = torch.tensor([3, 3, 0, 7, 1])
    loss = Seen()
    out = replace(features(batch, rows=5), source=source)
    Objective({"seen": Term(loss)}, provided=PROVIDED)(batch, out, Progress())
    assert torch.equal(loss.given["labels"], batch.labels[source])
    assert torch.equal(loss.given["cameras"], batch.cameras[source])
    assert torch.equal(loss.given["attributes"], batch.attributes[source])
    assert len(loss.given["features"]) == 5


def test_terms_are_computed_in_float32_under_autocast(batch):
    loss = Seen()
    objective = Objective({"seen": Term(loss), "id": Term(IdentityCrossEntropy())}, provided=PROVIDED)
    with torch.autocast("cpu", torch.bfloat16):
        total, logged = objective(batch, features(batch, dtype=torch.bfloat16), Progress())
    assert loss.given["features"].dtype == torch.float32
    assert total.dtype == logged["id"].dtype == torch.float32
    total, _ = objective(batch, features(batch, dtype=torch.float64), Progress())
    assert total.dtype == torch.float64


def test_an_optional_field_is_left_out_where_nobody_provides_it(batch):
    for provided in ({"features"}, {"features", "attributes_known"}):  # unknown at build, or missing in this batch
        objective = Objective({"two": Term(Two())}, provided=provided)
        objective(replace(batch, attributes=None, attributes_known=None), features(batch), Progress())


def test_every_fault_is_told_at_once():
    terms = {
        "triplet": Term(HeteroCenterTriplet(), uses={"features": "featres", "margin": "x"}),
        "id": Term(IdentityCrossEntropy()),
        "train": Term(Mean()),
    }
    with pytest.raises(ConfigError) as error:
        Objective(terms, provided={"features", "labels", "modality"})
    listed = "\n    (provided: features, labels, modality)"
    assert [str(problem) for problem in error.value.problems] == [
        "OBJECTIVE.TRIPLET (HeteroCenterTriplet) USES names 'margin', which is not a parameter"
        " (parameters: features, labels, modality)",
        "OBJECTIVE.TRIPLET (HeteroCenterTriplet) needs 'featres', which nothing before it provides;"
        f" did you mean 'features'?{listed}",
        f"OBJECTIVE.ID (IdentityCrossEntropy) needs 'logits', which nothing before it provides{listed}",
        "OBJECTIVE.TRAIN: a term cannot have this name; rename the term",
    ]


def test_no_terms_are_refused():
    with pytest.raises(ConfigError, match="OBJECTIVE has no terms; add at least one loss"):
        Objective({}, provided=PROVIDED)


def test_a_batch_that_lacks_a_promised_field(batch):
    objective = Objective({"seen": Term(Seen())}, provided=PROVIDED)
    text = r"OBJECTIVE\.SEEN \(Seen\) needs attributes, which this batch does not contain"
    with pytest.raises(DataError, match=text):
        objective(replace(batch, attributes=None), features(batch), Progress())


def test_a_term_is_one_value(batch):
    class Rows(nn.Module):
        def forward(self, features):
            return features.sum(1)

    objective = Objective({"rows": Term(Rows())}, provided=PROVIDED)
    text = r"OBJECTIVE\.ROWS \(Rows\) returned rows of shape \(24,\); a loss must return scalars"
    with pytest.raises(ValueError, match=text):
        objective(batch, features(batch), Progress())


def test_only_what_a_term_reads_is_cast(batch):
    out = features(batch, dtype=torch.bfloat16)
    objective = Objective({"mean": Term(Mean())}, provided=PROVIDED)
    seen = []
    objective.mean.register_forward_pre_hook(lambda module, args, kwargs: seen.append(kwargs), with_kwargs=True)
    fields = objective._fields(batch, out)
    assert fields["logits"].dtype == torch.bfloat16
    objective(batch, out, Progress())
    assert seen[0]["features"].dtype == torch.float32


def test_a_schedule_that_reads_a_term_that_is_not_there_is_refused():
    terms = {
        "id": Term(IdentityCrossEntropy()),
        "graph": Term(Mean(), schedule=InverseEpochLoss(of=["id", "tripelt"])),
        "triplet": Term(HeteroCenterTriplet()),
    }
    with pytest.raises(ConfigError) as error:
        Objective(terms, provided=PROVIDED)
    assert [str(problem) for problem in error.value.problems] == [
        "OBJECTIVE.GRAPH.SCHEDULE (InverseEpochLoss) reads the term 'tripelt', which does not exist; did you mean "
        "'triplet'? (terms: id, graph, triplet)"
    ]
