from __future__ import annotations

import pytest
from torch import nn

from vireid.core.binding import bind, requested, serve


class Loss(nn.Module):
    def forward(self, features, labels, attributes_known=None):
        return features, labels, attributes_known


class Wrapper(nn.Module):
    """Hides its request behind *args and says it in `needs`."""

    needs = ("part_logits", "labels")

    def forward(self, **fields):
        return fields


def test_the_request_is_in_the_parameters_of_forward():
    assert requested(Loss()) == {"features": True, "labels": True, "attributes_known": False}


def test_a_wrapper_says_its_needs():
    assert requested(Wrapper()) == {"part_logits": True, "labels": True}


def test_a_wrapper_says_which_needs_it_can_do_without():
    wrapper = Wrapper()
    wrapper.needs = {"part_logits": True, "attributes_known": False}
    assert requested(wrapper) == {"part_logits": True, "attributes_known": False}


@pytest.mark.parametrize("function", [lambda *features: None, lambda **fields: None])
def test_a_request_that_cannot_be_read_is_refused(function):
    with pytest.raises(TypeError, match=r"its request cannot be read; set `needs`"):
        requested(function)


def test_names_bind_to_fields_of_the_same_name_or_as_told():
    binding, problems = bind(Loss(), {"features": "pooled"}, ["pooled", "features", "labels"])
    assert binding == {"features": "pooled", "labels": "labels"}
    assert problems == []
    assert serve({"pooled": 1, "labels": 2, "features": 3}, binding) == {"features": 1, "labels": 2}


def test_a_field_with_a_default_is_bound_where_it_is_there():
    binding, _ = bind(Loss(), None, ["features", "labels", "attributes_known"])
    assert binding["attributes_known"] == "attributes_known"


def test_a_missing_field_gets_the_nearest_and_all():
    _, problems = bind(Loss(), {}, ["feature", "labels"])
    (problem,) = problems
    assert problem.text == "needs 'features', which nothing before it provides"
    assert (problem.suggestion, problem.note) == ("feature", "\n    (provided: feature, labels)")


def test_uses_must_name_a_parameter():
    _, problems = bind(Loss(), {"feetures": "features"}, ["features", "labels"])
    (problem,) = problems
    assert problem.text == "USES names 'feetures', which is not a parameter"
    assert (problem.suggestion, problem.note) == ("features", "(parameters: features, labels, attributes_known)")


def test_an_optional_field_that_was_asked_for_by_hand_must_be_there():
    _, problems = bind(Loss(), {"attributes_known": "knwon"}, ["features", "labels"])
    (problem,) = problems
    assert problem.text.startswith("needs 'knwon'")


def test_every_problem_is_told():
    assert len(bind(Loss(), {"x": "y"}, [])[1]) == 3
