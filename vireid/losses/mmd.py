"""Maximum mean discrepancy (MMD) between visible and infrared embeddings."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import LOSSES
from vireid.core.types import Modality
from vireid.layers.pairwise import group_means, groups, require, squared_distances
from vireid.layers.precision import float32_or_more, without_autocast

SMALL = 1e-9  # added to each bandwidth, as released


def discrepancies(
    features: Tensor, same: Tensor, visible: Tensor, *, kernel_mul: float = 2.0, kernel_num: int = 5
) -> Tensor:
    """Squared MMD between the modalities within the group of each row (biased V-statistic).

    Each group has its bandwidth.

    With D_ij the squared distance of rows i and j and m the number of rows of a group: bandwidth b = sum D / (m^2 -
    m), without gradient; kernel k(i, j) = sum_q exp(-D_ij / (b kernel_mul^(q - kernel_num // 2) + 1e-9)); result s' k
    s with s = 1 / n_visible for visible rows and -1 / n_infrared for infrared rows. The result of a group of one
    modality is not meaningful; see `one_modality`.

    Args:
        features: (N, D) embeddings.
        same: (N, N) bool, rows of one group (`layers.pairwise.groups`).
        visible: (N,) bool, visible rows.
        kernel_mul: Ratio of consecutive bandwidths.
        kernel_num: Number of Gaussian kernels.

    Returns:
        (N,) values in [0, 2 kernel_num], equal for the rows of a group.

    Source:
        Jambigi et al., "MMD-ReID: A Simple but Effective Solution for Visible-Thermal Person ReID", BMVC 2021;
        released code.

    Departs:
        The numbers of visible and infrared rows may differ. No tensor of m x m x D is built.
    """
    with without_autocast(features):
        features = float32_or_more(features)
        members = same.to(features.dtype)
        count = members.sum(dim=1)
        # subtracting the mean of the group keeps float32 distances accurate and does not change them
        squared = squared_distances(features - group_means(features, same).detach()) * members
        bandwidth = members @ squared.detach().sum(dim=1) / (count * count - count)
        kernel = torch.zeros_like(squared)
        for step in range(kernel_num):
            scale = bandwidth * kernel_mul ** (step - kernel_num // 2) + SMALL
            kernel = kernel + torch.exp(-squared / scale.unsqueeze(1))
        is_visible = visible.to(features.dtype)
        sign = torch.where(visible, 1 / (members @ is_visible), -1 / (members @ (1 - is_visible)))
        return members @ (sign * ((kernel * members) @ sign))


def one_modality(same: Tensor, visible: Tensor) -> Tensor:
    """Mark rows whose group lacks a modality: (N, N), (N,) bool -> (N,) bool."""
    return ~((same & visible).any(dim=1) & (same & ~visible).any(dim=1))


def _check_kernel(kernel_mul: float, kernel_num: int) -> None:
    if kernel_mul <= 0:
        raise ArgumentError("kernel_mul", f"must be above 0, got {kernel_mul}")
    if kernel_num < 1:
        raise ArgumentError("kernel_num", f"must be at least 1, got {kernel_num}")


@LOSSES.register
class MMD(nn.Module):
    """Maximum mean discrepancy (squared) between all visible and all infrared rows.

    Args:
        kernel_mul: Ratio of consecutive bandwidths.
        kernel_num: Number of Gaussian kernels.

    Shape:
        features (R, D), modality (R,) -> scalar in [0, 2 kernel_num]; formula: `discrepancies`.

    Raises:
        ValueError: If the batch holds one modality only. On devices other than the CPU the loss is NaN instead.

    Source:
        MMD-ReID (BMVC 2021), global term, "MMD_Loss" in the released code.

    Departs:
        See `discrepancies`.

    Example:
        >>> features, modality = torch.tensor([[0.0], [1.0], [2.0], [3.0]]), torch.tensor([0, 0, 1, 1])
        >>> MMD()(features, modality)
        tensor(4.5798)
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
        return value + require(both, "MMD compares two modalities; the batch holds one only")


@LOSSES.register
class MarginMMD(nn.Module):
    """Margin MMD within each identity (MMD-ID): discrepancies below a margin do not count.

    Args:
        margin: Margin of the discrepancy; None or 0: no margin.
        mode: "threshold" (released code): l where l > margin, else 0, so that the loss jumps at the margin and an
            active identity receives its full gradient. "hinge" (wording of the paper): max(0, l - margin), with the
            same gradient.
        kernel_mul: Ratio of consecutive bandwidths.
        kernel_num: Number of Gaussian kernels.

    Shape:
        features (R, D), labels (R,), modality (R,) -> scalar, the mean over ALL identities of the batch of the
        contributions of their discrepancies l; formula: `discrepancies`.

    Raises:
        ValueError: If an identity has rows of one modality only. On devices other than the CPU the loss is NaN instead.

    Source:
        MMD-ReID (BMVC 2021), released code: margin 1.4 for 4 + 4 rows of an identity. Discrepancies depend on that
        number (the diagonals alone contribute 2 kernel_num / K), so that another K needs another margin.

    Departs:
        Rows may be in any order and number. The largest distance and the block means of a group, which the released
        code logs, are not computed.

    Example:
        >>> features = torch.tensor([[0.0], [0.1], [2.0], [4.0], [1.0], [1.1], [2.5], [5.0]])
        >>> labels, modality = torch.tensor([0, 0, 1, 1, 0, 0, 1, 1]), torch.tensor([0, 1, 0, 1, 0, 1, 0, 1])
        >>> MarginMMD(margin=1.4)(features, labels, modality), MarginMMD()(features, labels, modality)
        (tensor(2.8404), tensor(2.8883))
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
            raise ArgumentError("margin", f"must be at least 0, got {margin}")
        if mode not in CONTRIBUTIONS:
            raise ArgumentError("mode", f"must be one of {tuple(CONTRIBUTIONS)}, got {mode!r}")
        self.margin, self.mode = margin, mode
        self.kernel_mul, self.kernel_num = kernel_mul, kernel_num

    def forward(self, features: Tensor, labels: Tensor, modality: Tensor) -> Tensor:
        identities, visible = groups(labels), modality == Modality.VISIBLE
        kernel = {"kernel_mul": self.kernel_mul, "kernel_num": self.kernel_num}
        values = discrepancies(features, identities.same, visible, **kernel)
        if self.margin:
            values = CONTRIBUTIONS[self.mode](values, self.margin)
        both = ~one_modality(identities.same, visible).any()
        text = "an identity has rows of one modality only; MarginMMD needs both for each identity of the batch"
        return identities.mean(values) + require(both, text)


def _threshold(values: Tensor, margin: float) -> Tensor:
    return torch.where(values > margin, values, torch.zeros_like(values))


def _hinge(values: Tensor, margin: float) -> Tensor:
    return (values - margin).relu()


CONTRIBUTIONS = {"threshold": _threshold, "hinge": _hinge}
