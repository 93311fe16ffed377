"""Maximum mean discrepancy between the visible and the infrared descriptors."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from vireid.core.registries import LOSSES
from vireid.core.types import Modality
from vireid.layers.pairwise import squared_distances

SMALL = 1e-9  # added to each bandwidth, as released


def discrepancy(
    groups: Tensor, valid: Tensor, visible: Tensor, *, kernel_mul: float = 2.0, kernel_num: int = 5
) -> Tensor:
    """Squared MMD of each group (biased V-statistic, diagonal included), each with its own bandwidth.

    Shapes: groups (P, L, D), valid (P, L) bool (False = padding), visible (P, L) bool -> (P,), in [0, 2 kernel_num].
    Every group needs a row of each modality. With D_ij the squared distance of rows i and j and m the rows of a group:
    bandwidth b = sum D / (m^2 - m), without gradient; k(i, j) = sum_q exp(-D_ij / (b kernel_mul^(q - kernel_num // 2)
    + 1e-9)); result s' k s with s = 1 / n_visible for visible rows and -1 / n_infrared for infrared ones.
    Source: MMD-ReID (BMVC 2021), released code. Departs: unequal numbers of the two modalities are allowed; nothing of
    size L x L x D is built.
    """
    count = valid.sum(dim=1)
    mean = (groups * valid.unsqueeze(2)).sum(dim=1, keepdim=True) / count.view(-1, 1, 1)
    squared = squared_distances((groups - mean) * valid.unsqueeze(2))
    pairs = valid.unsqueeze(1) & valid.unsqueeze(2)
    bandwidth = (squared.detach() * pairs).sum(dim=(1, 2)) / (count * count - count)
    kernel = torch.zeros_like(squared)
    for step in range(kernel_num):
        scale = bandwidth * kernel_mul ** (step - kernel_num // 2) + SMALL
        kernel = kernel + torch.exp(-squared / scale.view(-1, 1, 1))
    seen, infrared = (valid & visible).to(groups.dtype), (valid & ~visible).to(groups.dtype)
    sign = seen / seen.sum(dim=1, keepdim=True) - infrared / infrared.sum(dim=1, keepdim=True)
    return (sign.unsqueeze(2) * kernel * sign.unsqueeze(1)).sum(dim=(1, 2))


def discrepancy_by_identity(
    features: Tensor, labels: Tensor, modality: Tensor, *, kernel_mul: float = 2.0, kernel_num: int = 5
) -> tuple[Tensor, Tensor]:
    """Squared MMD within each identity: (R, D), (R,), (R,) -> (P,) and the identities (P,), sorted.

    Any row order and any number of rows; ValueError names an identity that lacks one of the modalities.
    """
    identities, group = torch.unique(labels, return_inverse=True)
    counts = torch.bincount(group, minlength=len(identities))
    order = torch.argsort(group, stable=True)
    group = group[order]
    start = counts.cumsum(0) - counts
    place = torch.arange(len(order), device=order.device) - start[group]

    length = int(counts.max())
    slot = group * length + place
    shape = (len(identities), length)
    groups = features.new_zeros(len(identities) * length, features.shape[1]).index_copy(0, slot, features[order])
    valid = torch.zeros(len(identities) * length, dtype=torch.bool, device=order.device)
    visible = valid.index_copy(0, slot, modality[order] == Modality.VISIBLE).view(shape)
    valid = valid.index_fill(0, slot, True).view(shape)

    lacking = ~(visible.any(dim=1) & (valid & ~visible).any(dim=1))
    if bool(lacking.any()):
        which = int(identities[lacking][0])
        raise ValueError(f"identity {which} has rows of one modality only; MMD compares both within each identity")
    values = discrepancy(groups.view(*shape, -1), valid, visible, kernel_mul=kernel_mul, kernel_num=kernel_num)
    return values, identities


def _check_kernel(kernel_mul: float, kernel_num: int) -> None:
    if kernel_mul <= 0:
        raise ValueError(f"kernel_mul must be above 0, got {kernel_mul}")
    if kernel_num < 1:
        raise ValueError(f"kernel_num must be at least 1, got {kernel_num}")


@LOSSES.register
class MMD(nn.Module):
    """Squared MMD between all visible and all infrared rows; see `discrepancy` for the formula.

    Shapes: features (R, D), modality (R,) -> scalar in [0, 2 kernel_num].
    Errors: ValueError where the batch holds one modality only.
    Source: MMD-ReID's global term ("MMD_Loss").
    """

    def __init__(self, *, kernel_mul: float = 2.0, kernel_num: int = 5) -> None:
        super().__init__()
        _check_kernel(kernel_mul, kernel_num)
        self.kernel_mul, self.kernel_num = kernel_mul, kernel_num

    def forward(self, features: Tensor, modality: Tensor) -> Tensor:
        visible = (modality == Modality.VISIBLE).unsqueeze(0)
        if bool((visible == visible[:, :1]).all()):
            raise ValueError("MMD compares two modalities; the batch holds one only")
        valid = torch.ones_like(visible)
        kernel = {"kernel_mul": self.kernel_mul, "kernel_num": self.kernel_num}
        return discrepancy(features.unsqueeze(0), valid, visible, **kernel).squeeze(0)


@LOSSES.register
class MarginMMD(nn.Module):
    """MMD within each identity, counted only above a margin ("MMD-ID").

    Shapes: features (R, D), labels (R,), modality (R,) -> scalar: the mean over ALL P identities of the contributions
    of their discrepancies l (see `discrepancy_by_identity`):
    no margin (None or 0): l; mode "threshold" (the released code): l where l > margin, else 0, so the value jumps at
    the margin and an active identity gets its full gradient; mode "hinge" (the paper's wording): max(0, l - margin),
    the same gradient.
    Errors: ValueError where an identity has one modality only.
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
        kernel = {"kernel_mul": self.kernel_mul, "kernel_num": self.kernel_num}
        values, _ = discrepancy_by_identity(features, labels, modality, **kernel)
        if self.margin:
            values = CONTRIBUTIONS[self.mode](values, self.margin)
        return values.mean()


def _threshold(values: Tensor, margin: float) -> Tensor:
    return torch.where(values > margin, values, torch.zeros_like(values))


def _hinge(values: Tensor, margin: float) -> Tensor:
    return (values - margin).relu()


CONTRIBUTIONS = {"threshold": _threshold, "hinge": _hinge}
