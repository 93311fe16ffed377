from __future__ import annotations

import math

import pytest
import torch

from vireid.layers.soft_targets import soft_cross_entropy, soft_divergence


def scores(seed: int) -> torch.Tensor:
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


@pytest.mark.parametrize(("temperature", "eps"), [(1.0, 0.0), (3.0, 1e-7)])
def test_divergence_equals_the_loop(temperature, eps):
    student, teacher = scores(0), scores(1)
    ours = soft_divergence(student, teacher, temperature=temperature, eps=eps)
    for row in range(4):
        p = [value + eps for value in softmax([v / temperature for v in teacher[row].tolist()])]
        q = softmax([v / temperature for v in student[row].tolist()])
        value = temperature**2 * sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q))
        assert float(ours[row].detach()) == pytest.approx(value, rel=1e-12)


def test_cross_entropy_equals_the_loop_and_teachers_learn_nothing():
    student, teacher = scores(0), scores(1)
    ours = soft_cross_entropy(student, teacher)
    for row in range(4):
        p, q = softmax(teacher[row].tolist()), softmax(student[row].tolist())
        assert float(ours[row].detach()) == pytest.approx(-sum(a * math.log(b) for a, b in zip(p, q)), rel=1e-12)
    (ours.sum() + soft_divergence(student, teacher).sum()).backward()
    assert teacher.grad is None
    assert student.grad is not None
