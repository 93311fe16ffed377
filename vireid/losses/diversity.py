"""Losses over the branches of a multi-branch backbone (DEEN): center-guided pair mining and orthogonality."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import LOSSES
from vireid.layers.pairwise import distances, group_means, groups, require


@LOSSES.register
class CenterPairMining(nn.Module):
    """Center-guided pair mining loss: bring the modalities of each identity closer in every branch.

    The original rows are branch 0.

    For each branch b >= 1, identity i and modality m, let c(i, m, b) be the center of its rows, o the other modality
    and [.] = max(0, . + margin). The loss of the center is [cross - same] + ([cross - near(b)] + [cross - near(0)]) /
    2, with cross = d(c(i, m, b), c(i, o, 0)), same = d(c(i, m, b), c(i, m, 0)) without gradient, and near(b) the
    smallest d(c(i, m, b), c(j, m, b)) over other identities j. A center without a counterpart in the batch is left
    out.

    Args:
        margin: Margin of the hinges.

    Shape:
        features (R, D), labels (R,), modality (R,), branch (R,) -> scalar, the mean over identities and modalities,
        summed over branches.

    Raises:
        ValueError: If the batch holds one identity only, no branch above 0, or no identity in both modalities. On
            devices other than the CPU the loss is NaN instead.

    Source:
        Zhang and Wang, "Diverse Embedding Expansion Network and Low-Light Cross-Modality Benchmark for
        Visible-Infrared Person Re-identification" (DEEN), CVPR 2023; released code: margin 0.2, weight 0.8.

    Departs:
        The released code cuts the batch by position. Rows are grouped by labels, modality and branch here.

    Example:
        >>> features = torch.tensor([[0.0], [4.0], [1.0], [5.0], [0.5], [4.5], [0.5], [4.5]])
        >>> loss = CenterPairMining(margin=0.2)
        >>> loss(
        ...     features,
        ...     labels=torch.tensor([0, 1, 0, 1, 0, 1, 0, 1]),
        ...     modality=torch.tensor([0, 0, 1, 1, 0, 0, 1, 1]),
        ...     branch=torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]),
        ... )
        tensor(0.2000)
    """

    def __init__(self, *, margin: float = 0.2) -> None:
        super().__init__()
        if margin < 0:
            raise ArgumentError("margin", f"must be at least 0, got {margin}")
        self.margin = margin

    def forward(self, features: Tensor, labels: Tensor, modality: Tensor, branch: Tensor) -> Tensor:
        centers = groups(labels, modality, branch)
        distance = distances(group_means(features, centers.same))  # each row holds its center; `first` keeps one
        same_identity, same_modality, same_branch = (groups(key).same for key in (labels, modality, branch))
        original = (branch == 0) & centers.first
        negatives = ~same_identity & same_modality & same_branch & centers.first
        near = distance.masked_fill(~negatives, float("inf")).amin(dim=1)
        cross_mask, same_mask = same_identity & ~same_modality & original, same_identity & same_modality & original
        cross, same = picked(distance, cross_mask), picked(distance, same_mask)
        near_original = picked(near.expand_as(same_mask), same_mask)
        hinges = (cross - torch.stack([same.detach(), near, near_original]) + self.margin).relu()
        values = hinges[0] + (hinges[1] + hinges[2]) / 2
        counted = (branch > 0) & centers.first & cross_mask.any(dim=1) & same_mask.any(dim=1)
        centers_in_branch = (same_branch & counted).sum(dim=1).clamp_min(1)
        total = torch.where(counted, values / centers_in_branch, 0).sum()
        pairs = require(
            counted.any(),
            "CenterPairMining: no identity of the batch has rows in both modalities and in a branch above 0; use a"
            " backbone with branches (DiverseBackbone) and a sampler that draws both modalities",
        )
        return total + pairs + require(~same_identity.all(), "center-guided pair mining needs at least two identities")


def picked(values: Tensor, mask: Tensor) -> Tensor:
    """The one entry of each row where the mask is True, 0 if no entry is True: (N, N), (N, N) bool -> (N,)."""
    return torch.where(mask, values, 0).sum(dim=1)


@LOSSES.register
class OrthogonalBranches(nn.Module):
    """Orthogonality loss between the branches of each image: the sum of their inner products over the number of rows.

    Shape:
        features (R, D), branch (R,), source (R,) -> scalar, (1 / R) sum of <f_r, f_s> over pairs of rows of one image
        in two different branches above 0. Rows of branch 0, the original rows, are in no pair but are counted in R.

    Source:
        DEEN (CVPR 2023), orthogonality loss, released code: weight 0.01, features not L2-normalized, divided by all 3
        B rows.

    Departs:
        Rows of one image are found by `source`, not by their position.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 3.0]])
        >>> OrthogonalBranches()(features, branch=torch.tensor([0, 1, 2]), source=torch.tensor([0, 0, 0]))
        tensor(1.)
    """

    def forward(self, features: Tensor, branch: Tensor, source: Tensor) -> Tensor:
        one_image = source.unsqueeze(0) == source.unsqueeze(1)
        pairs = one_image & (branch.unsqueeze(1) > branch.unsqueeze(0)) & (branch.unsqueeze(0) > 0)
        return torch.where(pairs, features @ features.T, 0).sum() / len(features)
