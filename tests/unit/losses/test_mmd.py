from __future__ import annotations

import math

import pytest
import torch

from vireid.layers.pairwise import groups
from vireid.losses.mmd import MMD, MarginMMD, discrepancies


def mmd_by_differences(x, y, mul=2.0, num=5):
    """All differences spelt out, (n + m) x (n + m) x D, as the release does; any numbers of rows."""
    rows = torch.cat([x, y])
    squared = (rows[:, None] - rows[None]).square().sum(-1)
    n, m = len(x), len(y)
    bandwidth = squared.detach().sum() / ((n + m) ** 2 - (n + m)) / mul ** (num // 2)
    kernel = sum(torch.exp(-squared / (bandwidth * mul**q + 1e-9)) for q in range(num))
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - kernel[:n, n:].mean() - kernel[n:, :n].mean()


def batch(counts: dict[tuple[int, int], int], width: int = 6, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    keys = [key for key, count in counts.items() for _ in range(count)]
    order = torch.randperm(len(keys), generator=generator)
    labels, modality = torch.tensor(keys)[order].unbind(1)
    features = torch.randn(len(keys), width, generator=generator, dtype=torch.float64)
    features = (features + labels[:, None] + 0.5 * modality[:, None] * labels[:, None]).requires_grad_()
    return features, labels, modality


BALANCED = {(i, m): 4 for i in (5, 1, 3) for m in (0, 1)}
RAGGED = {(5, 0): 1, (5, 1): 4, (1, 0): 3, (1, 1): 2, (3, 0): 2, (3, 1): 2}
COUNTS = pytest.mark.parametrize("counts", [BALANCED, RAGGED], ids=["balanced", "ragged"])


def by_identity(features, labels, modality, **kernel):
    return torch.stack(
        [
            mmd_by_differences(*(features[(labels == label) & (modality == m)] for m in (0, 1)), **kernel)
            for label in sorted(set(labels.tolist()))
        ]
    )


def check_equal(ours, naive, features):
    torch.testing.assert_close(ours, naive, rtol=1e-9, atol=1e-12)
    grads = [torch.autograd.grad(value, features, retain_graph=True)[0] for value in (ours, naive)]
    torch.testing.assert_close(*grads, rtol=1e-7, atol=1e-12)


@COUNTS
@pytest.mark.parametrize(("mul", "num"), [(2.0, 5), (1.5, 3), (3.0, 2), (2.0, 1)])
def test_global_equals_the_differences(counts, mul, num):
    features, _, modality = batch(counts)
    naive = mmd_by_differences(features[modality == 0], features[modality == 1], mul, num)
    check_equal(MMD(kernel_mul=mul, kernel_num=num)(features, modality), naive, features)


@COUNTS
@pytest.mark.parametrize(("mul", "num"), [(2.0, 5), (1.5, 4)])
def test_by_identity_equals_the_differences(counts, mul, num):
    features, labels, modality = batch(counts)
    values = discrepancies(features, groups(labels).same, modality == 0, kernel_mul=mul, kernel_num=num)
    expected = dict(zip((1, 3, 5), by_identity(features, labels, modality, mul=mul, num=num)))
    torch.testing.assert_close(values, torch.stack([expected[label] for label in labels.tolist()]))


@COUNTS
@pytest.mark.parametrize("margin", [None, 0.0])
def test_without_a_margin_every_identity_counts_fully(counts, margin):
    features, labels, modality = batch(counts)
    ours = MarginMMD(margin=margin)(features, labels, modality)
    check_equal(ours, by_identity(features, labels, modality).mean(), features)


@COUNTS
@pytest.mark.parametrize("mode", ["threshold", "hinge"])
def test_a_margin_between_the_identities_silences_those_below(counts, mode):
    features, labels, modality = batch(counts)
    each = by_identity(features, labels, modality)
    margin = float(each.detach().sort().values[:2].mean())  # one identity below, two above
    active = each[each > margin]
    naive = (active if mode == "threshold" else active - margin).sum() / 3
    ours = MarginMMD(margin=margin, mode=mode)(features, labels, modality)
    check_equal(ours, naive, features)
    silent = labels == sorted(set(labels.tolist()))[int(each.argmin())]
    (grad,) = torch.autograd.grad(ours, features)
    assert not grad[silent].any()
    assert grad[~silent].any()


def test_both_modes_have_the_same_gradient():
    features, labels, modality = batch(BALANCED)
    losses = [MarginMMD(margin=1.0, mode=mode)(features, labels, modality) for mode in ("threshold", "hinge")]
    assert losses[0].item() > losses[1].item()
    torch.testing.assert_close(*(torch.autograd.grad(loss, features)[0] for loss in losses))


def test_a_margin_above_all_gives_a_zero_with_a_gradient_of_zero():
    features, labels, modality = batch(BALANCED)
    loss = MarginMMD(margin=10.0)(features, labels, modality)
    loss.backward()
    assert loss.item() == 0
    assert not features.grad.any()


def test_equal_modalities_cost_nothing():
    x = torch.randn(5, 3, dtype=torch.float64)
    value = MMD()(torch.cat([x, x]), torch.tensor([0, 1]).repeat_interleave(5))
    assert float(value) == pytest.approx(0, abs=1e-12)


def test_all_rows_equal_gives_zero_and_a_finite_gradient():
    features = torch.full((8, 4), 3.7, requires_grad=True)
    labels, modality = torch.tensor([0, 1]).repeat(4), torch.tensor([0, 0, 1, 1]).repeat(2)
    value = MarginMMD()(features, labels, modality) + MMD()(features, modality)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-5)
    assert features.grad.isfinite().all()
    assert features.grad.abs().max() < 1e-2


def test_one_image_of_each_modality_is_a_constant():
    """The bandwidth is the only distance, so the kernel is sum exp(-2^(2 - q)), whatever the features."""
    features, labels, modality = batch({(0, 0): 1, (0, 1): 1, (1, 0): 1, (1, 1): 1})
    constant = 2 * 5 - 2 * sum(math.exp(-(2.0 ** (2 - q))) for q in range(5))
    assert float(MarginMMD()(features, labels, modality)) == pytest.approx(constant, rel=1e-9)


@pytest.mark.parametrize("loss", [MMD(), MarginMMD()])
def test_padding_and_size_stay_within_the_range(loss):
    features, labels, modality = batch(RAGGED, width=64)
    extra = (labels,) if isinstance(loss, MarginMMD) else ()
    assert 0 <= float(loss(features, *extra, modality)) <= 10


def test_an_identity_with_one_modality_is_refused():
    features, labels, modality = batch({(0, 0): 2, (0, 1): 2, (7, 1): 3})
    with pytest.raises(ValueError, match="an identity has rows of one modality only"):
        MarginMMD()(features, labels, modality)


def test_a_batch_of_one_modality_is_refused():
    with pytest.raises(ValueError, match="MMD compares two modalities; the batch holds one only"):
        MMD()(torch.randn(3, 2), torch.ones(3, dtype=torch.long))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"margin": -1.0}, "margin must be at least 0"),
        ({"mode": "soft"}, r"mode must be one of \('threshold', 'hinge'\), got 'soft'"),
        ({"kernel_mul": 0.0}, "kernel_mul must be above 0"),
        ({"kernel_num": 0}, "kernel_num must be at least 1"),
    ],
)
def test_arguments_are_checked(arguments, text):
    with pytest.raises(ValueError, match=text):
        MarginMMD(**arguments)
