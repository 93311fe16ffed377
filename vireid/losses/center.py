"""Center aggregation losses (MCLNet): pull rows to the center of their class, push the centers apart."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import LOSSES
from vireid.layers.pairwise import groups, squared_distances


class _MarginCenters(nn.Module):
    """Table of class centers with a pull and a push term; a subclass chooses the class labels."""

    centers: Tensor

    def __init__(
        self, classes: int, width: int, *, rho: float, sigma: float, learn: bool, rows_of_class: int | None
    ) -> None:
        super().__init__()
        if classes < 2:
            raise ValueError(f"center losses need at least 2 classes, got {classes}")
        if rows_of_class is not None and rows_of_class < 1:
            raise ArgumentError("rows_of_class", f"must be at least 1, got {rows_of_class}")
        if rho < 0 or sigma < 0:
            raise ValueError(f"rho and sigma must be at least 0, got {rho} and {sigma}")
        self.rho, self.sigma, self.rows_of_class = rho, sigma, rows_of_class
        table = torch.randn(classes, width)
        if learn:
            self.centers = nn.Parameter(table)
        else:
            self.register_buffer("centers", table)

    def _terms(self, features: Tensor, classes: Tensor) -> dict[str, Tensor]:
        row_centers = self.centers[classes]
        squared = (features - row_centers).square().sum(dim=1)
        return {"pull": self._pull(squared, classes), "push": self._push(row_centers, classes)}

    def _pull(self, squared: Tensor, classes: Tensor) -> Tensor:
        same_class = groups(classes)
        smallest = squared.expand(len(squared), -1).masked_fill(~same_class.same, float("inf")).amin(dim=1)
        if self.rows_of_class is not None:
            smallest = smallest * same_class.first * self.rows_of_class  # once for each class, with a fixed weight
        return (squared.mean() - smallest.mean() - self.sigma).relu()

    def _push(self, row_centers: Tensor, classes: Tensor) -> Tensor:
        between_centers = squared_distances(row_centers, self.centers)
        same_center = classes.unsqueeze(1) == torch.arange(len(self.centers), device=classes.device)
        nearest = between_centers.masked_fill(same_center, float("inf")).amin(dim=1).clamp(1e-12, 1e12)
        return (self.rho - nearest.mean()).relu()


@LOSSES.register
class IdentityMarginCenters(_MarginCenters):
    """Center aggregation loss over identities: pull rows to the center of their identity, push the centers apart.

    The centers are drawn from N(0, 1) and stay fixed; `push` is then a constant without gradient.

    Args:
        rho: Margin of `push`, a squared distance.
        sigma: Margin of `pull`, a squared distance.
        learn: Train the centers.
        rows_of_class: Weight of the smallest distance of each identity in its mean. None: the number of its rows.
        num_ids: Number of identities.
        feature_dim: Width D of the features.

    Shape:
        features_bn (R, D), labels (R,) -> `pull` = max(0, mean d - mean over rows of the smallest d of the identity -
        sigma), where d is the squared distance of a row to the center of its identity; `push` = max(0, rho - mean over
        rows of the squared distance of their center to the nearest other center).

    Raises:
        ValueError: If there are fewer than two identities or an argument is out of range.

    Source:
        Hao et al., "Cross-Modality Person Re-Identification via Modality Confusion and Center Aggregation" (MCLNet),
        ICCV 2021; released code: rho 4500, sigma 8, centers that no optimizer updates.

    Departs:
        The released code assumes eight rows of each identity, as its sampler gives. Rows are counted here;
        `rows_of_class=8` is the released form for other batches.

    Example:
        >>> loss = IdentityMarginCenters(rho=4.0, sigma=0.0, num_ids=2, feature_dim=2)
        >>> _ = loss.centers.copy_(torch.eye(2))
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
        >>> loss(features, labels=torch.tensor([0, 0, 1, 1]))
        {'pull': tensor(0.5000), 'push': tensor(2.)}
    """

    identity_tensors: ClassVar[frozenset[str]] = frozenset({"centers"})
    example: ClassVar[dict] = {"sigma": 0.0, "learn": True}  # few narrow rows are within any margin

    def __init__(
        self,
        *,
        rho: float = 4500.0,
        sigma: float = 8.0,
        learn: bool = False,
        rows_of_class: int | None = None,
        num_ids: int,
        feature_dim: int,
    ) -> None:
        super().__init__(num_ids, feature_dim, rho=rho, sigma=sigma, learn=learn, rows_of_class=rows_of_class)

    def forward(self, features_bn: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return self._terms(features_bn, labels)


@LOSSES.register
class CameraMarginCenters(_MarginCenters):
    """Center aggregation loss over cameras: `IdentityMarginCenters` with cameras instead of identities.

    The center of camera c is row c modulo the number of cameras, so that camera numbers may start at 0 or 1. Where the
    two cameras are the two modalities (RegDB), the centers are those of the modalities.

    Args:
        rho: Margin of `push`, a squared distance.
        sigma: Margin of `pull`, a squared distance.
        learn: Train the centers.
        num_cameras: Number of cameras.
        feature_dim: Width D of the features.

    Shape:
        features_bn (R, D), cameras (R,) -> `pull` and `push`, as in `IdentityMarginCenters`.

    Raises:
        ValueError: If there are fewer than two cameras or an argument is out of range.

    Source:
        MCLNet (ICCV 2021), released code.

    Departs:
        Not in any number.

    Example:
        >>> loss = CameraMarginCenters(rho=4.0, sigma=0.0, num_cameras=2, feature_dim=2)
        >>> _ = loss.centers.copy_(torch.eye(2))
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
        >>> loss(features, cameras=torch.tensor([2, 2, 1, 1]))
        {'pull': tensor(0.5000), 'push': tensor(2.)}
    """

    example: ClassVar[dict] = {"sigma": 0.0, "learn": True}  # few narrow rows are within any margin

    def __init__(
        self,
        *,
        rho: float = 4500.0,
        sigma: float = 8.0,
        learn: bool = False,
        num_cameras: int,
        feature_dim: int,
    ) -> None:
        super().__init__(num_cameras, feature_dim, rho=rho, sigma=sigma, learn=learn, rows_of_class=None)

    def forward(self, features_bn: Tensor, cameras: Tensor) -> dict[str, Tensor]:
        return self._terms(features_bn, cameras % len(self.centers))
