from __future__ import annotations

import math

import pytest
import torch

from vireid.losses.triplet import (
    BatchHardTriplet,
    EnhancedSquaredTriplet,
    HeteroCenterTriplet,
    WeightedRegularizedTriplet,
)

MARGIN = 0.3


def batch(counts: dict[tuple[int, int], int], width: int = 5, seed: int = 0):
    """Rows by {(identity, modality): number}, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    keys = [key for key, count in counts.items() for _ in range(count)]
    order = torch.randperm(len(keys), generator=generator)
    labels, modality = torch.tensor(keys)[order].unbind(1)
    features = torch.randn(len(keys), width, generator=generator, dtype=torch.float64).requires_grad_()
    return features, labels, modality


BALANCED = {(i, m): 3 for i in (4, 0, 9) for m in (0, 1)}
RAGGED = {(4, 0): 1, (4, 1): 3, (0, 0): 2, (0, 1): 1, (9, 0): 4, (9, 1): 2}


def apart(a, b) -> torch.Tensor:
    return (a - b).square().sum().clamp_min(1e-12).sqrt()


def triplet_by_loop(rows: list, labels: list[int]) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for a, label in zip(rows, labels):
        positive = max((apart(a, b) for b, other in zip(rows, labels) if other == label), key=float)
        negative = min((apart(a, b) for b, other in zip(rows, labels) if other != label), key=float)
        total = total + max(positive - negative + MARGIN, torch.zeros((), dtype=torch.float64), key=float)
    return total / len(rows)


def centers_by_loop(features, labels, modality):
    keys = sorted(set(zip(labels.tolist(), modality.tolist())))
    rows = [torch.stack([f for f, i, m in zip(features, labels, modality) if (i, m) == key]).mean(0) for key in keys]
    return rows, [identity for identity, _ in keys]


@pytest.mark.parametrize("counts", [BALANCED, RAGGED], ids=["balanced", "ragged"])
@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
def test_batch_hard_equals_the_loop(counts, spread):
    features, labels, _ = batch(counts)
    rows = spread * features
    naive = triplet_by_loop(list(rows), labels.tolist())
    ours = BatchHardTriplet(margin=MARGIN)(rows, labels)
    torch.testing.assert_close(ours, naive)
    torch.testing.assert_close(*(torch.autograd.grad(v, features, retain_graph=True)[0] for v in (ours, naive)))


@pytest.mark.parametrize("counts", [BALANCED, RAGGED], ids=["balanced", "ragged"])
@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
def test_hetero_center_equals_the_loop(counts, spread):
    features, labels, modality = batch(counts)
    rows = spread * features
    naive = triplet_by_loop(*centers_by_loop(rows, labels, modality))
    ours = HeteroCenterTriplet(margin=MARGIN)(rows, labels, modality)
    torch.testing.assert_close(ours, naive)
    torch.testing.assert_close(*(torch.autograd.grad(v, features, retain_graph=True)[0] for v in (ours, naive)))


def test_without_a_margin_batch_hard_is_the_softplus():
    features, labels = torch.tensor([[0.0], [1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1, 1])
    differences = torch.tensor([1 - 3.0, 1 - 2.0, 2 - 2.0, 2 - 4.0])
    ours = BatchHardTriplet(margin=None)(features, labels)
    torch.testing.assert_close(ours, torch.log1p(differences.exp()).mean())


@pytest.mark.parametrize("loss", [BatchHardTriplet(), HeteroCenterTriplet(), WeightedRegularizedTriplet()])
def test_gradcheck(loss):
    features, labels, modality = batch(RAGGED, width=3, seed=2)
    extra = (modality,) if isinstance(loss, HeteroCenterTriplet) else ()
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, *extra), (features,))


def weighted_by_loop(rows: list, labels: list[int], eps: float) -> torch.Tensor:
    """The released form has eps 1e-6 below each sum of exponentials and shifts positives by their largest."""
    total = torch.zeros((), dtype=torch.float64)
    for a, label in zip(rows, labels):
        positives = torch.stack([apart(a, b) for b, other in zip(rows, labels) if other == label])
        negatives = torch.stack([apart(a, b) for b, other in zip(rows, labels) if other != label])
        up, down = (positives - positives.max()).exp(), (-negatives).exp()
        near, far = (up / (up.sum() + eps) * positives).sum(), (down / (down.sum() + eps) * negatives).sum()
        total = total + torch.log1p((near - far).exp())
    return total / len(rows)


@pytest.mark.parametrize("counts", [BALANCED, RAGGED], ids=["balanced", "ragged"])
@pytest.mark.parametrize("spread", [0.1, 1.0, 8.0])
@pytest.mark.parametrize(("released", "eps"), [(True, 1e-6), (False, 0.0)])
def test_weighted_equals_the_loop(counts, spread, released, eps):
    features, labels, _ = batch(counts)
    rows = spread * features
    naive = weighted_by_loop(list(rows), labels.tolist(), eps)
    ours = WeightedRegularizedTriplet(released_eps=released)(rows, labels)
    torch.testing.assert_close(ours, naive)
    torch.testing.assert_close(*(torch.autograd.grad(v, features, retain_graph=True)[0] for v in (ours, naive)))


def test_far_negatives_separate_the_two_forms():
    """Where all negatives are beyond 14 the released weights vanish and well separated rows cost their positives."""
    labels = torch.tensor([0, 0, 1, 1])
    features = torch.tensor([[0.0], [5.0], [60.0], [65.0]])
    released = WeightedRegularizedTriplet(released_eps=True)(features, labels)
    assert WeightedRegularizedTriplet()(features, labels).item() < 1e-6
    assert released.item() == pytest.approx(5, abs=0.1)


def test_normalize_puts_rows_to_length_1():
    features, labels, _ = batch(BALANCED)
    unit = features / features.norm(dim=1, keepdim=True)
    ours = WeightedRegularizedTriplet(normalize=True)(7 * features, labels)
    torch.testing.assert_close(ours, WeightedRegularizedTriplet()(unit, labels))


def test_well_separated_identities_cost_nothing():
    labels, modality = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    features = torch.tensor([[0.0, 0], [0.1, 0], [5, 0], [5.1, 0]], requires_grad=True)
    value = HeteroCenterTriplet()(features, labels, modality)
    value.backward()
    assert float(value) == 0
    assert not features.grad.any()


def test_one_image_of_each_identity():
    """The only positive is the row itself, 1e-6 away."""
    features = torch.tensor([[0.0], [2.0], [3.0]])
    value = BatchHardTriplet(margin=1.5)(features, torch.tensor([0, 1, 2]))
    assert float(value) == pytest.approx((0 + 0.5 + 0.5) / 3, abs=1e-5)


def test_equal_images_have_a_finite_gradient():
    features = torch.ones(4, 3, requires_grad=True)
    labels, modality = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    value = BatchHardTriplet()(features, labels) + HeteroCenterTriplet()(features, labels, modality)
    value.backward()
    assert float(value) == pytest.approx(0.6, abs=1e-5)
    assert features.grad.isfinite().all()


def test_an_identity_without_one_modality_has_itself_as_positive():
    features, labels, modality = batch({(0, 0): 2, (0, 1): 2, (1, 0): 3})
    naive = triplet_by_loop(*centers_by_loop(features, labels, modality))
    torch.testing.assert_close(HeteroCenterTriplet()(features, labels, modality), naive)
    assert math.isfinite(float(naive))


@pytest.mark.parametrize("loss", [BatchHardTriplet(), HeteroCenterTriplet(), WeightedRegularizedTriplet()])
def test_one_identity_is_refused(loss):
    features, labels, modality = batch({(3, 0): 2, (3, 1): 2})
    extra = (modality,) if isinstance(loss, HeteroCenterTriplet) else ()
    with pytest.raises(ValueError, match="a triplet needs at least two identities in the batch"):
        loss(features, labels, *extra)


@pytest.mark.parametrize("kind", [BatchHardTriplet, HeteroCenterTriplet])
def test_the_margin_is_not_negative(kind):
    with pytest.raises(ValueError, match=r"margin must be at least 0, got -0\.1"):
        kind(margin=-0.1)


@pytest.mark.parametrize("released_eps", [False, True])
@pytest.mark.parametrize("square", [True, False])
@pytest.mark.parametrize("spread", [0.3, 2.0, 30.0])
def test_enhanced_equals_the_loop(released_eps, square, spread):
    """The largest spread puts rows beyond the limit of 88, where they have no gradient."""
    features, labels, _ = batch(RAGGED)
    rows, eps, alpha, gamma = spread * features, 1e-6 if released_eps else 0.0, 1.5, 2.0
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(rows)):
        sums = []
        for wanted, sign in ((True, 1), (False, -1)):
            d = torch.stack([apart(rows[i], rows[j]) for j in range(len(rows)) if (labels[j] == labels[i]) == wanted])
            shift = (alpha * d).max() if wanted or not released_eps else torch.zeros(())
            weights = (sign * (alpha * d - shift)).exp()
            sums.append((weights / (weights.sum() + eps) * d).sum())
        gap = sums[0] - sums[1]
        q = (gamma * gap.square()).clamp_max(88) * (1 if gap > 0 else -1) if square else gamma * gap
        total = total + torch.nn.functional.softplus(q, threshold=100)
    naive = total / len(rows)
    ours = EnhancedSquaredTriplet(alpha=alpha, gamma=gamma, square=square, released_eps=released_eps)(rows, labels)
    torch.testing.assert_close(ours, naive)
    torch.testing.assert_close(*(torch.autograd.grad(v, features, retain_graph=True)[0] for v in (ours, naive)))


def test_enhanced_refuses_factors_of_zero():
    with pytest.raises(ValueError, match=r"alpha and gamma must be above 0, got 1.0 and 0"):
        EnhancedSquaredTriplet(gamma=0)
