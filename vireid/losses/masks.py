"""Losses over soft part masks and identity centers (MPANet, SAAI)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError, nearest
from vireid.core.registries import LOSSES
from vireid.layers.pairwise import MIN_SQUARED, distances, group_means, groups, require


@LOSSES.register
class MaskSeparation(nn.Module):
    """Mask separation loss: penalize the overlap of the part masks of an image.

    With S the sum of all masks, the sum over pairs is (|S|^2 - sum |mask|^2) / 2, so that no P x P products are
    computed. Always in float32 or more: the sum over a batch exceeds the range of float16.

    Shape:
        part_masks (R, P, H, W), P >= 2 -> scalar, the mean over rows and pairs of parts of the sum over positions of
        the product of the two masks. The sum is not divided by the number of positions and so grows with the image
        size.

    Raises:
        ValueError: If there are fewer than two parts.

    Source:
        Wu et al., "Discover Cross-Modality Nuances for Visible-Infrared Person Re-Identification" (MPANet), CVPR 2021;
        released code (`weight_sep`).

    Departs:
        Not in any number.

    Example:
        >>> import torch
        >>> masks = torch.tensor([[[[1.0, 0.5]], [[0.0, 0.5]]]])  # one row, two parts, a map of 1 x 2
        >>> MaskSeparation()(masks)
        tensor(0.2500)
    """

    def forward(self, part_masks: Tensor) -> Tensor:
        rows, parts = part_masks.shape[:2]
        if parts < 2:
            raise ValueError(f"MaskSeparation needs part_masks of at least 2 parts, got {parts}")
        overlap = part_masks.sum(dim=1).square().sum() - part_masks.square().sum()
        return overlap / (rows * parts * (parts - 1))


def _negative_distance(part_masks: Tensor) -> Tensor:
    """Minus the mean over rows and pairs of the root of the mean squared difference, from all differences at once."""
    flat_masks = part_masks.flatten(2)
    first, second = torch.triu_indices(flat_masks.shape[1], flat_masks.shape[1], offset=1, device=flat_masks.device)
    squared = (flat_masks[:, first] - flat_masks[:, second]).square().mean(dim=2)
    return -squared.clamp_min(MIN_SQUARED).sqrt().mean()


def _inner_product(part_masks: Tensor) -> Tensor:
    """Mean overlap of two masks, plus 1, minus the mean of all masks."""
    return MaskSeparation()(part_masks) + 1 - part_masks.mean()


_DIVERSITY = {"l2": _negative_distance, "inner_product": _inner_product}


@LOSSES.register
class MaskDiversity(nn.Module):
    """Mask diversity loss: move the part masks of an image away from each other.

    Args:
        kind: "l2": minus the distance of two masks, so that the loss is negative. "inner_product": the overlap of two
            masks, as in `MaskSeparation`, plus 1 minus the mean of the masks, which keeps them from vanishing.

    Shape:
        part_masks (R, P, H, W), P >= 2 -> scalar. l2: minus the mean over rows and pairs of parts of sqrt(mean over
        positions of the squared difference). inner_product: the mean over rows and pairs of the sum over positions of
        the product, + 1 - the mean of all entries.

    Raises:
        ArgumentError: For another `kind`.
        ValueError: If there are fewer than two parts.

    Source:
        SAAI (ICCV 2023), released code: "l2" and "cos". It multiplies "l2" by its weight 0.5 twice: the weight that
        counts is 0.25.

    Departs:
        The released code divides by 162, the number of positions of its maps, for maps of any size. Two equal masks
        have no gradient instead of a NaN gradient.

    Example:
        >>> masks = torch.tensor([[[[1.0, 0.5]], [[0.0, 0.5]]]])  # one row, two parts, a map of 1 x 2
        >>> MaskDiversity(kind="l2")(masks), MaskDiversity(kind="inner_product")(masks)
        (tensor(-0.7071), tensor(0.7500))
    """

    def __init__(self, *, kind: Literal["l2", "inner_product"] = "l2") -> None:
        super().__init__()
        if kind not in _DIVERSITY:
            raise ArgumentError("kind", f"must be one of {tuple(_DIVERSITY)}, got {kind!r}{nearest(kind, _DIVERSITY)}")
        self.kind = kind

    def forward(self, part_masks: Tensor) -> Tensor:
        parts = part_masks.shape[1]
        if parts < 2:
            raise ValueError(f"MaskDiversity needs part_masks of at least 2 parts, got {parts}")
        return _DIVERSITY[self.kind](part_masks)


@LOSSES.register
class CenterCluster(nn.Module):
    """Center cluster loss: pull rows to the center of their identity, push centers at least `margin` apart.

    Centers are means over both modalities. Gradients flow through them.

    Args:
        margin: Margin of the distance between centers.
        pull_margin: Distance of a row to the center of its identity that costs nothing; 0.01 in SAAI.

    Shape:
        features (R, D), labels (R,) -> `pull`, the mean over rows of max(0, distance to the center of the identity -
        pull_margin), and `push`, the mean over ordered pairs of identities of max(0, margin - distance of their
        centers).

    Raises:
        ValueError: If a margin is negative, or the batch holds fewer than two identities (NaN on devices other than the
            CPU).

    Source:
        MPANet (CVPR 2021), released code; with `pull_margin` the center separation loss of SAAI (ICCV 2023).

    Departs:
        The released code finds identities by blocks of equal size in the batch and averages `push` over rows, which is
        the same for equal numbers of rows. Rows are grouped by label here. A row that equals its center has distance
        1e-6 and no gradient, instead of a NaN gradient.

    Example:
        >>> import torch
        >>> features = torch.tensor([[0.0, 0.0], [0.2, 0.0], [0.0, 0.3], [0.2, 0.3]])
        >>> CenterCluster(margin=0.7)(features, labels=torch.tensor([0, 0, 1, 1]))
        {'pull': tensor(0.1000), 'push': tensor(0.4000)}
    """

    def __init__(self, *, margin: float = 0.7, pull_margin: float = 0.0) -> None:
        super().__init__()
        for name, value in (("margin", margin), ("pull_margin", pull_margin)):
            if value < 0:
                raise ArgumentError(name, f"must be at least 0, got {value}")
        self.margin, self.pull_margin = margin, pull_margin

    def forward(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        identities = groups(labels)
        centers = group_means(features, identities.same)
        apart = (features - centers).square().sum(dim=1).clamp_min(MIN_SQUARED).sqrt()
        pull = (apart - self.pull_margin).relu().mean()
        # each row holds its center; `first` keeps one for each identity
        pairs = (identities.first.unsqueeze(0) & identities.first.unsqueeze(1) & ~identities.same).to(centers.dtype)
        push = ((self.margin - distances(centers)).relu() * pairs).sum() / pairs.sum().clamp_min(1)
        text = f"all {len(labels)} rows of the batch have one identity; CenterCluster needs at least two"
        return {"pull": pull, "push": push + require(~identities.same.all(), text)}
