from __future__ import annotations

import itertools

import pytest
import torch

from vireid.core.errors import ArgumentError
from vireid.losses.masks import CenterCluster, MaskDiversity, MaskSeparation


def test_separation_equals_the_loop():
    masks = torch.rand(3, 4, 5, 2, dtype=torch.float64, requires_grad=True)
    pairs = [(row, q, r) for row in range(3) for q, r in itertools.combinations(range(4), 2)]
    naive = sum((masks[row, q] * masks[row, r]).sum() for row, q, r in pairs) / len(pairs)
    ours = MaskSeparation()(masks)
    torch.testing.assert_close(ours, naive)
    torch.testing.assert_close(*(torch.autograd.grad(v, masks)[0] for v in (ours, naive)))


def test_masks_apart_cost_nothing():
    masks = torch.eye(6).view(1, 6, 3, 2)
    assert MaskSeparation()(masks).item() == 0


def test_separation_needs_two_parts():
    with pytest.raises(ValueError, match="at least 2 parts, got 1"):
        MaskSeparation()(torch.rand(2, 1, 3, 2))


def naive_diversity(kind: str, masks: torch.Tensor) -> torch.Tensor:
    pairs = [(row, q, r) for row in range(len(masks)) for q, r in itertools.combinations(range(masks.shape[1]), 2)]
    if kind == "l2":
        return -sum((masks[row, q] - masks[row, r]).square().mean().sqrt() for row, q, r in pairs) / len(pairs)
    return sum((masks[row, q] * masks[row, r]).sum() for row, q, r in pairs) / len(pairs) + 1 - masks.mean()


@pytest.mark.parametrize("kind", ["l2", "inner_product"])
@pytest.mark.parametrize("parts", [2, 4])
def test_diversity_equals_the_loop(kind, parts):
    masks = torch.rand(3, parts, 5, 2, dtype=torch.float64, requires_grad=True)
    naive, ours = naive_diversity(kind, masks), MaskDiversity(kind=kind)(masks)
    torch.testing.assert_close(ours, naive)
    torch.testing.assert_close(*(torch.autograd.grad(v, masks)[0] for v in (ours, naive)))


@pytest.mark.parametrize("kind", ["l2", "inner_product"])
def test_equal_masks_have_a_finite_gradient(kind):
    masks = torch.rand(2, 1, 3, 2).repeat(1, 3, 1, 1).requires_grad_()
    MaskDiversity(kind=kind)(masks).backward()
    assert masks.grad.isfinite().all()


def test_close_masks_are_compared_without_cancellation():
    """As the root of a Gram matrix the distance would be rounded to 0 or to several times its size."""
    masks = torch.full((1, 2, 18, 9), 0.5)
    masks[:, 1] += 1e-4
    assert MaskDiversity()(masks).item() == pytest.approx(-1e-4, rel=1e-2)


def test_diversity_needs_two_parts():
    with pytest.raises(ValueError, match="at least 2 parts, got 1"):
        MaskDiversity()(torch.rand(2, 1, 3, 2))


def test_another_kind_of_diversity_is_refused():
    with pytest.raises(ArgumentError, match=r"kind must be one of .* did you mean 'inner_product'"):
        MaskDiversity(kind="inner_produkt")


def rows(counts: dict[int, int], spread: float):
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([label for label, count in counts.items() for _ in range(count)])
    labels = labels[torch.randperm(len(labels), generator=generator)]
    features = spread * torch.randn(len(labels), 5, generator=generator, dtype=torch.float64)
    return features.requires_grad_(), labels


@pytest.mark.parametrize("counts", [{4: 4, 0: 4, 9: 4}, {4: 1, 0: 3, 9: 6}], ids=["balanced", "ragged"])
@pytest.mark.parametrize("spread", [0.1, 0.4, 3.0])
def test_cluster_equals_the_loop(counts, spread):
    features, labels = rows(counts, spread)
    centers = {label: torch.stack([f for f, y in zip(features, labels) if y == label]).mean(0) for label in counts}
    pull = sum((f - centers[int(y)]).square().sum().clamp_min(1e-12).sqrt() for f, y in zip(features, labels)) / len(
        labels
    )
    pairs = list(itertools.permutations(counts, 2))
    push = sum((0.7 - (centers[a] - centers[b]).norm()).clamp_min(0) for a, b in pairs) / len(pairs)
    ours = CenterCluster(margin=0.7)(features, labels)
    torch.testing.assert_close(ours["pull"], pull)
    torch.testing.assert_close(ours["push"], push)
    both = (ours["pull"] + ours["push"], pull + push)
    torch.testing.assert_close(*(torch.autograd.grad(v, features)[0] for v in both))


@pytest.mark.parametrize("spread", [0.01, 0.4])
def test_a_distance_within_the_pull_margin_costs_nothing(spread):
    features, labels = rows({4: 3, 0: 2, 9: 4}, spread)
    centers = [torch.stack([f for f, y in zip(features, labels) if y == label]).mean(0) for label in labels]
    pull = sum(((f - c).norm() - 0.3).clamp_min(0) for f, c in zip(features, centers)) / len(labels)
    ours = CenterCluster(pull_margin=0.3)(features, labels)["pull"]
    torch.testing.assert_close(ours, pull)
    torch.testing.assert_close(*(torch.autograd.grad(v, features)[0] for v in (ours, pull)))


def test_one_image_of_an_identity_has_a_finite_gradient():
    """The release's root has an infinite slope there."""
    features, labels = rows({0: 1, 1: 1, 2: 1}, 1.0)
    terms = CenterCluster()(features, labels)
    (terms["pull"] + terms["push"]).backward()
    assert features.grad.isfinite().all()
    assert terms["pull"].item() == pytest.approx(1e-6)


def test_one_identity_is_refused():
    features, labels = rows({3: 4}, 1.0)
    with pytest.raises(ValueError, match="all 4 rows of the batch have one identity"):
        CenterCluster()(features, labels)


@pytest.mark.parametrize("name", ["margin", "pull_margin"])
def test_the_margins_are_not_negative(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 0"):
        CenterCluster(**{name: -1.0})
