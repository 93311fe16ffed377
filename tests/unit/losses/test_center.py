from __future__ import annotations

import pytest
import torch

from vireid.losses.center import CameraMarginCenters, IdentityMarginCenters

LABELS = torch.tensor([3, 0, 3, 1, 0, 3, 1, 1, 1])


def rows() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(len(LABELS), 6, generator=generator, dtype=torch.float64).requires_grad_()


def naive(table, x, classes, rho, sigma, times: int | None):
    """Class by class; the smallest distance of each counts `times`, or as often as it has rows."""
    squared = [(row - table[c]).square().sum() for row, c in zip(x, classes)]
    best = sum(
        (times or classes.count(c)) * min(d for d, other in zip(squared, classes) if other == c) for c in set(classes)
    )
    nearest = [min((table[c] - table[k]).square().sum() for k in range(len(table)) if k != c) for c in classes]
    zero = x.new_zeros(())
    pull = torch.maximum(zero, (sum(squared) - best) / len(x) - sigma)
    return {"pull": pull, "push": torch.maximum(zero, rho - sum(nearest) / len(x))}


@pytest.mark.parametrize("times", [None, 8])
@pytest.mark.parametrize(("rho", "sigma"), [(4500.0, 0.5), (1.0, 0.1), (4500.0, 1e4)])
def test_equals_the_loop_with_gradients(times, rho, sigma):
    torch.manual_seed(1)
    loss = IdentityMarginCenters(rho=rho, sigma=sigma, learn=True, rows_of_class=times, num_ids=5, feature_dim=6)
    loss, x = loss.double(), rows()
    ours, expected = loss(x, LABELS), naive(loss.centers, x, LABELS.tolist(), rho, sigma, times)
    for name in ("pull", "push"):
        torch.testing.assert_close(ours[name], expected[name])
        inputs = [x, loss.centers]
        grads = [
            torch.autograd.grad(v[name], inputs, retain_graph=True, allow_unused=True, materialize_grads=True)
            for v in (ours, expected)
        ]
        torch.testing.assert_close(*grads)


def test_eight_rows_of_every_identity_are_the_released_count():
    labels = torch.arange(3).repeat_interleave(8)[torch.randperm(24)]
    x = torch.randn(24, 6, dtype=torch.float64)
    counted = IdentityMarginCenters(sigma=0.1, num_ids=4, feature_dim=6).double()
    released = IdentityMarginCenters(sigma=0.1, rows_of_class=8, num_ids=4, feature_dim=6).double()
    released.load_state_dict(counted.state_dict())
    torch.testing.assert_close(counted(x, labels), released(x, labels))


def test_cameras_are_classes_wherever_they_count_from():
    x = rows()
    from_one = CameraMarginCenters(sigma=0.1, num_cameras=3, feature_dim=6).double()
    cameras = LABELS.clamp_max(2) + 1
    table = from_one.centers[[1, 2, 0]]  # camera c has row c modulo 3
    expected = naive(table, x, (cameras - 1).tolist(), 4500.0, 0.1, None)
    torch.testing.assert_close(from_one(x, cameras), expected)


def test_centres_stay_unless_they_learn():
    fixed = IdentityMarginCenters(num_ids=3, feature_dim=4)
    assert not list(fixed.parameters())
    assert "centers" in fixed.state_dict()
    learning = IdentityMarginCenters(learn=True, num_ids=3, feature_dim=4)
    assert [name for name, _ in learning.named_parameters()] == ["centers"]


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        CameraMarginCenters(num_cameras=1, feature_dim=4)
    with pytest.raises(ValueError, match="rows_of_class must be at least 1, got 0"):
        IdentityMarginCenters(rows_of_class=0, num_ids=3, feature_dim=4)
    with pytest.raises(ValueError, match=r"rho and sigma must be at least 0, got -1.0 and 8.0"):
        IdentityMarginCenters(rho=-1.0, num_ids=3, feature_dim=4)
