"""Maximum mean discrepancy between the visible and the infrared descriptors."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from vireid.core.registries import LOSSES
from vireid.core.types import Modality
from vireid.layers.pairwise import group_means, groups, insist, squared_distances
from vireid.layers.precision import float32_or_more, without_autocast

SMALL = 1e-9  # added to each bandwidth, as released


def discrepancies(
    features: Tensor, same: Tensor, visible: Tensor, *, kernel_mul: float = 2.0, kernel_num: int = 5
) -> Tensor:
    """Squared MMD within the group of each row (biased V-statistic, diagonal included), each with its own bandwidth.

    Shapes: features (N, D), same (N, N) bool (`pairwise.groups`), visible (N,) bool -> (N,), equal for rows of a group,
    in [0, 2 kernel_num]. With D_ij the squared distance of rows i and j and m the rows of a group:
    bandwidth b = sum D / (m^2 - m), without gradient; k(i, j) = sum_q exp(-D_ij / (b kernel_mul^(q - kernel_num // 2)
    + 1e-9)); result s' k s with s = 1 / n_visible for visible rows and -1 / n_infrared for infrared ones.
    A group of one modality gives no meaningful number: see `one_modality`.
    Source: MMD-ReID (BMVC 2021), released code. Departs: unequal numbers of the two modalities are allowed; nothing of
    size m x m x D is built.
    """
    with without_autocast(features):
        features = float32_or_more(features)
        members = same.to(features.dtype)
        count = members.sum(dim=1)
        # around the mean of its group a row is small, which float32 distances like; the shift changes none of them
        squared = squared_distances(features - group_means(features, same).detach()) * members
        bandwidth = members @ squared.detach().sum(dim=1) / (count * count - count)
        kernel = torch.zeros_like(squared)
        for step in range(kernel_num):
            scale = bandwidth * kernel_mul ** (step - kernel_num // 2) + SMALL
            kernel = kernel + torch.exp(-squared / scale.unsqueeze(1))
        seen = visible.to(features.dtype)
        sign = torch.where(visible, 1 / (members @ seen), -1 / (members @ (1 - seen)))
        return members @ (sign * ((kernel * members) @ sign))


def one_modality(same: Tensor, visible: Tensor) -> Tensor:
    """Whether the group of each row lacks a modality: (N, N), (N,) bool -> (N,) bool."""
    return ~((same & visible).any(dim=1) & (same & ~visible).any(dim=1))


def _check_kernel(kernel_mul: float, kernel_num: int) -> None:
    if kernel_mul <= 0:
        raise ValueError(f"kernel_mul must be above 0, got {kernel_mul}")
    if kernel_num < 1:
        raise ValueError(f"kernel_num must be at least 1, got {kernel_num}")


@LOSSES.register
class MMD(nn.Module):
    """Squared MMD between all visible and all infrared rows; see `discrepancies` for the formula.

    Shapes: features (R, D), modality (R,) -> scalar in [0, 2 kernel_num].
    Errors: a batch of one modality is a ValueError on the CPU and NaN on other devices.
    Source: MMD-ReID's global term ("MMD_Loss").
    """

    def __init__(self, *, kernel_mul: float = 2.0, kernel_num: int = 5) -> None:
        super().__init__()
        _check_kernel(kernel_mul, kernel_num)
        self.kernel_mul, self.kernel_num = kernel_mul, kernel_num

    def forward(self, features: Tensor, modality: Tensor) -> Tensor:
        visible = modality == Modality.VISIBLE
        same = torch.ones_like(visible).expand(len(visible), -1)
        kernel = {"kernel_mul": self.kernel_mul, "kernel_num": self.kernel_num}
        value = discrepancies(features, same, visible, **kernel)[0]
        both = ~one_modality(same, visible)[0]
        return value + insist(both, "MMD compares two modalities; the batch holds one only")


@LOSSES.register
class MarginMMD(nn.Module):
    """MMD within each identity, counted only above a margin ("MMD-ID").

    Shapes: features (R, D), labels (R,), modality (R,) -> scalar: the mean over ALL P identities of the contributions
    of their discrepancies l (see `discrepancies`):
    no margin (None or 0): l; mode "threshold" (the released code): l where l > margin, else 0, so the value jumps at
    the margin and an active identity gets its full gradient; mode "hinge" (the paper's wording): max(0, l - margin),
    the same gradient.
    Errors: an identity of one modality is a ValueError on the CPU and NaN on other devices.
    Source: MMD-ReID (BMVC 2021), released code; margin 1.4 there for 4 + 4 rows of an identity. Discrepancies depend on
    that number (the diagonals alone give 2 kernel_num / K), so another K needs another margin. Departs: rows in any
    order, any numbers; the release logs the group's largest distance and block means, which we do not compute.
    """

    def __init__(
        self,
        *,
        margin: float | None = None,
        mode: Literal["threshold", "hinge"] = "threshold",
        kernel_mul: float = 2.0,
        kernel_num: int = 5,
    ) -> None:
        super().__init__()
        _check_kernel(kernel_mul, kernel_num)
        if margin is not None and margin < 0:
            raise ValueError(f"margin must be at least 0, got {margin}")
        if mode not in CONTRIBUTIONS:
            raise ValueError(f"mode must be one of {tuple(CONTRIBUTIONS)}, got {mode!r}")
        self.margin, self.mode = margin, mode
        self.kernel_mul, self.kernel_num = kernel_mul, kernel_num

    def forward(self, features: Tensor, labels: Tensor, modality: Tensor) -> Tensor:
        identities, visible = groups(labels), modality == Modality.VISIBLE
        kernel = {"kernel_mul": self.kernel_mul, "kernel_num": self.kernel_num}
        values = discrepancies(features, identities.same, visible, **kernel)
        if self.margin:
            values = CONTRIBUTIONS[self.mode](values, self.margin)
        whole = ~one_modality(identities.same, visible).any()
        text = "an identity has rows of one modality only; MMD compares both within each identity"
        return identities.mean(values) + insist(whole, text)


def _threshold(values: Tensor, margin: float) -> Tensor:
    return torch.where(values > margin, values, torch.zeros_like(values))


def _hinge(values: Tensor, margin: float) -> Tensor:
    return (values - margin).relu()


CONTRIBUTIONS = {"threshold": _threshold, "hinge": _hinge}
