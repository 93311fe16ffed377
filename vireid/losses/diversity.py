"""Losses over the several rows that a backbone makes of each image (DEEN)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vireid.core.registries import LOSSES
from vireid.layers.pairwise import distances, group_means, groups, insist


@LOSSES.register
class CenterPairMining(nn.Module):
    """Each branch must bring the modalities of a person nearer to each other than the original rows are.

    Shapes: features (R, D), labels (R,), modality (R,), branch (R,) -> scalar. For each branch b >= 1, each identity i
    and each modality m, with c(i, m, b) the centre of its rows, o the other modality and [.] = max(0, . + margin):
    [cross - own] + ([cross - near(b)] + [cross - near(0)]) / 2, where cross = d(c(i, m, b), c(i, o, 0)),
    own = d(c(i, m, b), c(i, m, 0)), through which no gradient flows, and near(b) is the smallest
    d(c(i, m, b), c(j, m, b)) of another identity j. The mean over identities and modalities, added up over branches.
    Errors: a batch of one identity, or without branches or without a person seen in both modalities, is a ValueError on
    the CPU and NaN on other devices.
    Source: DEEN (CVPR 2023), centre-guided pair mining, released code (margin 0.2, weight 0.8). Departs: the release
    cuts the batch by position; here rows are grouped by labels, modality and branch. A centre whose counterpart is not
    in the batch is left out.
    """

    def __init__(self, *, margin: float = 0.2) -> None:
        super().__init__()
        if margin < 0:
            raise ValueError(f"margin must be at least 0, got {margin}")
        self.margin = margin

    def forward(self, features: Tensor, labels: Tensor, modality: Tensor, branch: Tensor) -> Tensor:
        centers = groups(labels, modality, branch)
        distance = distances(group_means(features, centers.same))  # a centre stands at each of its rows; one counts
        same_person, same_modality, same_branch = (groups(key).same for key in (labels, modality, branch))
        original = (branch == 0) & centers.first
        others = ~same_person & same_modality & same_branch & centers.first
        near = distance.masked_fill(~others, float("inf")).amin(dim=1)
        opposite, home = same_person & ~same_modality & original, same_person & same_modality & original
        cross, own, near_home = picked(distance, opposite), picked(distance, home), picked(near.expand_as(home), home)
        hinges = (cross - torch.stack([own.detach(), near, near_home]) + self.margin).relu()
        values = hinges[0] + (hinges[1] + hinges[2]) / 2
        counted = (branch > 0) & centers.first & opposite.any(dim=1) & home.any(dim=1)
        of_branch = (same_branch & counted).sum(dim=1).clamp_min(1)  # centres of the same branch
        total = torch.where(counted, values / of_branch, 0).sum()
        pairs = insist(counted.any(), "nothing to mine: no person stands in both modalities and in a branch above 0")
        return total + pairs + insist(~same_person.all(), "centre-guided pair mining needs at least two identities")


def picked(values: Tensor, mask: Tensor) -> Tensor:
    """The one entry of each row where the mask holds, 0 where it nowhere does: (N, N), (N, N) bool -> (N,)."""
    return torch.where(mask, values, 0).sum(dim=1)


@LOSSES.register
class OrthogonalBranches(nn.Module):
    """Branches of the same image must not say the same: inner products between them, over the number of all rows.

    Shapes: features (R, D), branch (R,), source (R,) -> scalar: (1 / R) sum of <f_r, f_s> over pairs of rows of one
    image in two different branches above 0. Rows of branch 0, the image as it is, take no part but are counted in R.
    Source: DEEN (CVPR 2023), orthogonality loss, released code (weight 0.01; features not normalised; it divides by all
    3 B rows). Departs: rows of an image are found by `source`, not by their place.
    """

    def forward(self, features: Tensor, branch: Tensor, source: Tensor) -> Tensor:
        one_image = source.unsqueeze(0) == source.unsqueeze(1)
        pairs = one_image & (branch.unsqueeze(1) > branch.unsqueeze(0)) & (branch.unsqueeze(0) > 0)
        return torch.where(pairs, features @ features.T, 0).sum() / len(features)
