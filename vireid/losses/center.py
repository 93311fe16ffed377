"""MCLNet's centre aggregation: rows no farther from their class's centre than its best row, by a margin."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vireid.core.registries import LOSSES
from vireid.layers.pairwise import groups, squared_distances


class _MarginCenters(nn.Module):
    """A table of centres, and the pull and push of a batch to it; the subclasses say what a class is."""

    centers: Tensor

    def __init__(
        self, classes: int, width: int, *, rho: float, sigma: float, learn: bool, rows_of_class: int | None
    ) -> None:
        super().__init__()
        if classes < 2:
            raise ValueError(f"centres of at least 2 classes are needed, got {classes}")
        if rows_of_class is not None and rows_of_class < 1:
            raise ValueError(f"rows_of_class must be at least 1, got {rows_of_class}")
        if rho < 0 or sigma < 0:
            raise ValueError(f"rho and sigma must be at least 0, got {rho} and {sigma}")
        self.rho, self.sigma, self.rows_of_class = rho, sigma, rows_of_class
        table = torch.randn(classes, width)
        if learn:
            self.centers = nn.Parameter(table)
        else:
            self.register_buffer("centers", table)

    def _terms(self, features: Tensor, classes: Tensor) -> dict[str, Tensor]:
        own = self.centers[classes]
        squared = (features - own).square().sum(dim=1)
        return {"pull": self._pull(squared, classes), "push": self._push(own, classes)}

    def _pull(self, squared: Tensor, classes: Tensor) -> Tensor:
        together = groups(classes)
        best = squared.expand(len(squared), -1).masked_fill(~together.same, float("inf")).amin(dim=1)
        if self.rows_of_class is not None:
            best = best * together.first * self.rows_of_class  # once for each class, as if it had that many rows
        return (squared.mean() - best.mean() - self.sigma).relu()

    def _push(self, own: Tensor, classes: Tensor) -> Tensor:
        apart = squared_distances(own, self.centers)
        itself = classes.unsqueeze(1) == torch.arange(len(self.centers), device=classes.device)
        nearest = apart.masked_fill(itself, float("inf")).amin(dim=1).clamp(1e-12, 1e12)
        return (self.rho - nearest.mean()).relu()


@LOSSES.register
class IdentityMarginCenters(_MarginCenters):
    """Rows near the centre of their identity, centres apart.

    Shapes: features_bn (R, D), labels (R,) -> `pull` = max(0, mean d - mean over rows of the smallest d of the row's
    identity - sigma) with d the squared distance of a row to its identity's centre, and `push` = max(0, rho - mean over
    rows of the squared distance of their centre to the nearest other one).
    Centres are drawn from N(0, 1) and stay as they are; `push` is then a constant, which moves nothing. `learn` makes
    them parameters. `rows_of_class` counts the smallest d of each identity that many times instead of its rows.
    Source: MCLNet (ICCV 2021), released code: rho 4500, sigma 8, and centres that no optimizer is given. Departs: the
    release counts eight rows of every identity, which is what its sampler gives; here they are counted
    (`rows_of_class: 8` is the release on other batches).
    """

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
    """Rows near the centre of their camera, centres apart: `IdentityMarginCenters` with cameras instead of identities.

    Shapes: features_bn (R, D), cameras (R,) -> `pull`, `push`. Camera c has row c modulo the number of cameras, whether
    a data set counts from 0 or from 1; where cameras are the two modalities (RegDB) these are centres of modalities.
    Source: MCLNet (ICCV 2021), released code; no departure.
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
