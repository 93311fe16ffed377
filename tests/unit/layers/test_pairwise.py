from __future__ import annotations

import pytest
import torch

from vireid.layers.pairwise import distances, group_means, groups, hardest, require, squared_distances


def rows(n: int, d: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_squared_distances_equal_the_loop():
    a, b = rows(4, 7), rows(5, 7, 1)
    expected = [[float(((x - y) ** 2).sum()) for y in b] for x in a]
    torch.testing.assert_close(squared_distances(a, b), torch.tensor(expected, dtype=a.dtype))


def test_batches_of_groups_equal_one_group_at_a_time():
    a = rows(12, 5).view(3, 4, 5)
    torch.testing.assert_close(squared_distances(a), torch.stack([squared_distances(group) for group in a]))


def test_gradients_equal_those_of_the_differences():
    a, b = rows(4, 6).requires_grad_(), rows(3, 6, 1).requires_grad_()
    weights = rows(4, 3, 2)
    ours = torch.autograd.grad((squared_distances(a, b) * weights).sum(), (a, b))
    naive = torch.autograd.grad(((a[:, None] - b[None]).square().sum(-1) * weights).sum(), (a, b))
    torch.testing.assert_close(ours, naive)


def test_rows_far_from_the_origin_stay_accurate_in_float32():
    """Without centring the Gram form loses everything here: |x|^2 is 1e8 times the distances."""
    near = rows(6, 64, dtype=torch.float64)
    far = near + 1e4
    expected = squared_distances(near).float()
    ours = squared_distances(far.float())
    torch.testing.assert_close(ours, expected, rtol=1e-2, atol=0)
    gram = far.float() @ far.float().T
    plain = gram.diagonal()[:, None] + gram.diagonal()[None] - 2 * gram
    assert not torch.allclose(plain, expected, rtol=0.5)


def test_a_row_is_at_distance_0_from_itself():
    x = (1e3 * rows(5, 32)).float()
    assert torch.equal(squared_distances(x).diagonal(), torch.zeros(5))
    torch.testing.assert_close(distances(x).diagonal(), torch.full((5,), 1e-6))


def test_equal_rows_get_no_gradient_and_no_nan():
    x = torch.ones(3, 4, requires_grad=True)
    distances(x).sum().backward()
    assert torch.equal(x.grad, torch.zeros(3, 4))


def test_nan_stays_nan():
    x = rows(3, 4)
    x[1, 2] = float("nan")
    assert squared_distances(x)[0, 1].isnan()


def test_widths_must_agree():
    with pytest.raises(ValueError, match="widths differ: 4 and 5"):
        squared_distances(rows(2, 4), rows(2, 5))


LABELS = torch.tensor([7, 2, 7, 7, 2, 2, 7, 5, 2])
MODALITY = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1])


def test_groups_equal_the_loop():
    found = groups(LABELS, MODALITY)
    keys = list(zip(LABELS.tolist(), MODALITY.tolist()))
    assert found.same.tolist() == [[a == b for b in keys] for a in keys]
    assert found.first.tolist() == [key not in keys[:row] for row, key in enumerate(keys)]


def test_a_mean_over_groups_counts_each_group_once():
    values = LABELS.double()
    assert float(groups(LABELS).mean(values)) == pytest.approx((7 + 2 + 5) / 3)


def test_group_means_equal_the_loop_in_any_row_order():
    features = rows(9, 3)
    means = group_means(features, groups(LABELS, MODALITY).same)
    for i in range(9):
        members = [features[j] for j in range(9) if LABELS[j] == LABELS[i] and MODALITY[j] == MODALITY[i]]
        torch.testing.assert_close(means[i], torch.stack(members).mean(0))


def test_group_means_of_half_precision_are_float32():
    assert group_means(rows(9, 3).bfloat16(), groups(LABELS).same).dtype == torch.float32


@pytest.mark.parametrize("among", [None, torch.tensor([True, False, True, True, True, False, True, True])])
def test_hardest_equals_the_loop(among):
    x, labels = rows(8, 3), torch.tensor([0, 1, 0, 2, 1, 0, 2, 3])
    distance = distances(x)
    mined = hardest(distance, groups(labels).same, among)
    columns = [j for j in range(8) if among is None or among[j]]
    for i in range(8):
        assert mined.positive[i] == max(distance[i, j] for j in columns if labels[j] == labels[i])
        assert mined.negative[i] == min(distance[i, j] for j in columns if labels[j] != labels[i])


def test_a_broken_condition_is_told_at_once_on_the_cpu_and_is_no_wait_elsewhere():
    assert float(require(torch.tensor(True), "never shown")) == 0
    with pytest.raises(ValueError, match="what is wrong"):
        require(torch.tensor(False), "what is wrong")
    assert require(torch.tensor(False, device="meta"), "what is wrong").shape == ()
