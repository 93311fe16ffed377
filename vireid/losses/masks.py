"""MPANet's losses over soft part masks and over identities' centres."""

from __future__ import annotations

from torch import Tensor, nn

from vireid.core.registries import LOSSES
from vireid.layers.pairwise import MIN_SQUARED, distances, group_means, groups, insist


@LOSSES.register
class MaskSeparation(nn.Module):
    """Part masks of one image should not overlap.

    Shapes: part_masks (R, P, H, W), P >= 2 -> scalar: the mean over rows and pairs of parts of the sum over positions
    of one mask times the other. With S the sum of all masks, the sum over pairs is (|S|^2 - sum |mask|^2) / 2: no P x P
    products. Always in float32 or more: a batch's sum exceeds what float16 can hold.
    Source: MPANet (CVPR 2021), released code (`weight_sep`); no departure: there is no division by the number of
    positions, so that the term grows with the images.
    """

    def forward(self, part_masks: Tensor) -> Tensor:
        rows, parts = part_masks.shape[:2]
        if parts < 2:
            raise ValueError(f"separation needs at least 2 parts, got {parts}")
        overlap = part_masks.sum(dim=1).square().sum() - part_masks.square().sum()
        return overlap / (rows * parts * (parts - 1))


@LOSSES.register
class CenterCluster(nn.Module):
    """Rows near the centre of their identity, centres of different identities at least `margin` apart.

    Shapes: features (R, D), labels (R,) -> `pull`, the mean distance of a row to its identity's mean over both
    modalities, and `push`, the mean over ordered pairs of identities of max(0, margin - distance of their centres).
    Gradients flow through the centres.
    Errors: fewer than two identities in the batch are a ValueError on the CPU and NaN on other devices.
    Source: MPANet (CVPR 2021), released code. Departs: the release finds identities by the sampler's blocks of equal
    size and takes the mean of `push` over rows, which with equal numbers of rows is the same; rows are grouped by
    label here. A row that is its centre has no gradient instead of NaN, and distance 1e-6.
    """

    def __init__(self, *, margin: float = 0.7) -> None:
        super().__init__()
        if margin < 0:
            raise ValueError(f"margin must be at least 0, got {margin}")
        self.margin = margin

    def forward(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        identities = groups(labels)
        centers = group_means(features, identities.same)
        pull = (features - centers).square().sum(dim=1).clamp_min(MIN_SQUARED).sqrt().mean()
        # a centre stands at each of its rows; the first ones count
        pairs = (identities.first.unsqueeze(0) & identities.first.unsqueeze(1) & ~identities.same).to(centers.dtype)
        push = ((self.margin - distances(centers)).relu() * pairs).sum() / pairs.sum().clamp_min(1)
        alone = insist(~identities.same.all(), f"all {len(labels)} rows of the batch have one identity; two are needed")
        return {"pull": pull, "push": push + alone}
