"""Binary cross-entropy over what is known, and the accuracies beside it, against loops."""

import math

import pytest
import torch

from vireid.core.types import ModelOutput, Progress
from vireid.losses.attributes import AttributeBCE
from vireid.losses.objective import Objective, Term
from vireid.testing import tiny_batch


@pytest.fixture
def given():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    return logits, (torch.rand(7, 3, generator=generator) < 0.5).float(), torch.rand(7, 3, generator=generator) < 0.6


def test_mean_over_what_is_known(given):
    logits, attributes, known = given
    total = count = 0
    for row in range(7):
        for i in range(3):
            if known[row, i]:
                p = 1 / (1 + math.exp(-float(logits[row, i])))
                total += -math.log(p if attributes[row, i] else 1 - p)
                count += 1
    assert float(AttributeBCE()(logits, attributes, known)) == pytest.approx(total / count, rel=1e-12)


def test_what_nobody_annotated_has_no_say(given):
    logits, attributes, known = given
    logits.requires_grad_()
    value = AttributeBCE()(logits, attributes, known)
    value.backward()
    assert not logits.grad[~known].any()
    hidden = torch.where(known, attributes, 1 - attributes)
    assert torch.equal(AttributeBCE()(logits, hidden, known), value)
    assert float(AttributeBCE()(logits.detach(), attributes, torch.zeros_like(known))) == 0


def test_accuracies_by_counting(given):
    logits, attributes, known = given
    measured = AttributeBCE().measure(logits, attributes, known)
    shares, balanced = [], []
    for i in range(3):
        rows = [row for row in range(7) if known[row, i]]
        right = {row: (logits[row, i] > 0) == bool(attributes[row, i]) for row in rows}
        shares.append(sum(map(bool, right.values())) / len(rows))
        recalls = []
        for value in (0, 1):
            of = [bool(right[row]) for row in rows if attributes[row, i] == value]
            recalls += [sum(of) / len(of)] if of else []
        balanced.append(sum(recalls) / len(recalls))
        assert float(measured[f"accuracy/{i}"]) == pytest.approx(shares[-1])
    assert float(measured["accuracy"]) == pytest.approx(sum(shares) / 3)
    assert float(measured["balanced"]) == pytest.approx(sum(balanced) / 3)


def test_always_the_same_answer_is_balanced_one_half():
    attributes = torch.tensor([[1.0], [1.0], [1.0], [0.0]])
    measured = AttributeBCE().measure(torch.ones(4, 1), attributes, torch.ones(4, 1, dtype=torch.bool))
    assert (float(measured["accuracy"]), float(measured["balanced"])) == (0.75, 0.5)


def test_nothing_to_measure_is_not_a_number():
    logits, known = torch.zeros(4, 2), torch.zeros(4, 2, dtype=torch.bool)
    known[:, 0] = True
    measured = AttributeBCE().measure(logits, torch.ones(4, 2), known)
    assert measured["accuracy/1"].isnan()
    assert float(measured["accuracy"]) == float(measured["balanced"]) == 0
    assert AttributeBCE().measure(logits, torch.ones(4, 2), torch.zeros_like(known))["accuracy"].isnan()


def test_measures_are_logged_beside_the_term_and_learned_from_by_nothing():
    batch = tiny_batch()
    logits = torch.randn(len(batch), 8, requires_grad=True)
    objective = Objective(
        {"attributes": Term(AttributeBCE(), weight=3.0)},
        provided=["attribute_logits", "attributes", "attributes_known"],
    )
    total, logged = objective(batch, ModelOutput({"attribute_logits": logits}), Progress())
    assert float(total.detach()) == pytest.approx(3 * float(logged["attributes"]))
    assert {"attributes/accuracy", "attributes/balanced", "attributes/accuracy/7"} <= set(logged)
    assert not any(value.requires_grad for value in logged.values())
