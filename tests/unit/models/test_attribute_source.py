"""Labels, predictions and the training mean: which row gets what, in training and in evaluation."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from vireid.core.errors import DataError
from vireid.core.types import Modality, Progress, Sample
from vireid.models.attribute_source import AttributeSource

R, A, C = 400, 3, 5
MEAN = (0.25, 0.5, 0.75)


@dataclass
class Start:
    """The start of an epoch, of which only the samples are asked for."""

    samples: list[Sample]
    progress: Progress = field(default_factory=Progress)

    def training_features(self):
        raise AssertionError("nobody needs descriptors")


def sample(*attributes):
    return Sample(Path("x.jpg"), 0, Modality.VISIBLE, 1, attributes or None)


def build(**arguments) -> AttributeSource:
    torch.manual_seed(0)
    source = AttributeSource(**{"test": "labels", **arguments}, num_attributes=A, channels=C)
    source.prior.copy_(torch.tensor(MEAN))
    return source


@pytest.fixture
def given():
    generator = torch.Generator().manual_seed(0)
    pooled = torch.rand(R, C, generator=generator)
    attributes = (torch.rand(R, A, generator=generator) < 0.5).float()
    known = torch.rand(R, A, generator=generator) < 0.7
    return pooled, attributes, known


def expected_labels(attributes, known):
    return torch.where(known, attributes, torch.tensor(MEAN).expand(len(attributes), -1))


@pytest.mark.parametrize("training", [True, False])
def test_labels_where_somebody_annotated_and_the_mean_elsewhere(given, training):
    pooled, attributes, known = given
    chosen, extra = build().train(training)(pooled, attributes, known)
    assert extra == {}
    assert torch.equal(chosen, expected_labels(attributes, known))
    everything, _ = build().train(training)(pooled, attributes)  # no mask: all is known
    assert torch.equal(everything, attributes)


def test_prior_is_the_same_for_everybody_and_asks_for_no_labels(given):
    source = build(test="prior").eval()
    chosen, _ = source(given[0])
    assert torch.equal(chosen, torch.tensor(MEAN).expand(R, -1))
    assert source.predictor is None


def test_predicted_comes_from_the_image_alone(given):
    pooled, attributes, known = given
    source = build(test="predicted").eval()
    chosen, extra = source(pooled)
    assert torch.equal(chosen, extra["attribute_prior_logits"].sigmoid())
    again, _ = source(pooled, 1 - attributes, known)
    assert torch.equal(again, chosen)


def test_predictions_enter_without_gradient(given):
    pooled, attributes, known = given
    source = build(test="predicted", train="mixed", probability=1.0).train()
    chosen, extra = source(pooled.requires_grad_(), attributes, known)
    assert not chosen.requires_grad
    assert extra["attribute_prior_logits"].requires_grad


@pytest.mark.parametrize("mixed_with", ["predicted", "prior"])
def test_mixed_replaces_whole_rows_at_the_rate_that_was_asked(given, mixed_with):
    pooled, attributes, known = given
    source = build(train="mixed", mixed_with=mixed_with, probability=0.3).train()
    chosen, extra = source(pooled, attributes, known)
    other = extra["attribute_prior_logits"].sigmoid() if extra else torch.tensor(MEAN).expand(R, -1)
    replaced = (chosen == other).all(dim=1)
    kept = (chosen == expected_labels(attributes, known)).all(dim=1)
    assert (replaced | kept).all()
    assert 0.2 < replaced.float().mean() < 0.4
    assert torch.equal(source.eval()(pooled, attributes, known)[0], expected_labels(attributes, known))


def test_dropout_replaces_single_attributes_by_their_mean_in_training_only(given):
    pooled, attributes, _ = given
    source = build(dropout=0.4).train()
    chosen, _ = source(pooled, attributes)
    dropped = chosen == torch.tensor(MEAN)
    assert torch.equal(chosen[~dropped], attributes[~dropped])
    assert 0.35 < dropped.float().mean() < 0.45
    assert (dropped.sum(dim=1) == 1).sum() > 0, "each attribute by itself"
    assert torch.equal(source.eval()(pooled, attributes)[0], attributes)


def test_the_mean_is_that_of_known_labels_and_lies_in_the_state_dict():
    source = AttributeSource(test="prior", num_attributes=A, channels=C)
    assert source.prior.tolist() == [0.5] * A
    source.start_epoch(Start([sample(1, 0, -1), sample(1, -1, -1), sample(), sample(0, 1, -1), sample(0, 0, -1)]))
    assert source.prior.tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 2])  # nobody knows the last
    other = AttributeSource(test="prior", num_attributes=A, channels=C)
    other.load_state_dict(source.state_dict())
    assert torch.equal(other.prior, source.prior)


def test_no_labels_in_training_is_one_clear_error(given):
    with pytest.raises(DataError, match=r"needs the attribute labels of the images, .* set DATA.ATTRIBUTES"):
        build(test="prior").train()(given[0])
    with pytest.raises(DataError, match="needs the attribute labels"):
        build(test="labels").eval()(given[0])


def test_another_number_of_attributes_is_an_error(given):
    pooled, attributes, _ = given
    with pytest.raises(DataError, match="the batch has 2 attributes, but the model was built for 3"):
        build()(pooled, attributes[:, :2])


def test_a_predictor_for_every_test_makes_checkpoints_that_fit_each():
    states = [set(build(test=test, predictor=True).state_dict()) for test in ("labels", "predicted", "prior")]
    assert states[0] == states[1] == states[2]
    assert build(test="labels").predictor is None


def test_conditions_say_what_was_used():
    assert build(test="labels").conditions == {"attribute_source": "labels"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"dropout": 1.5}, r"dropout must lie in \[0, 1\], got 1.5"),
        ({"train": "mixed", "probability": -0.1}, "probability must lie in"),
        ({"test": "predicted", "predictor": False}, "predictor is false, but test or mixed_with is 'predicted'"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        build(**arguments)


def test_there_is_no_default_for_test():
    with pytest.raises(TypeError, match="test"):
        AttributeSource(num_attributes=A, channels=C)


def test_an_oracle_without_labels_is_refused_before_training():
    unlabelled, labelled = [sample(), sample()], [sample(), sample(1, 0, 1)]
    with pytest.raises(DataError, match="TEST = 'labels', but none of the 2 test images has attributes"):
        build(test="labels").validate(unlabelled)
    build(test="labels").validate(labelled)
    build(test="prior").validate(unlabelled)
