"""Losses over soft part masks and identity centers (MPANet)."""

from __future__ import annotations

from torch import Tensor, nn

from vireid.core.errors import ArgumentError
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


@LOSSES.register
class CenterCluster(nn.Module):
    """Center cluster loss: pull rows to the center of their identity, push centers at least `margin` apart.

    Centers are means over both modalities. Gradients flow through them.

    Args:
        margin: Margin of the distance between centers.

    Shape:
        features (R, D), labels (R,) -> `pull`, the mean distance of a row to the center of its identity, and `push`,
        the mean over ordered pairs of identities of max(0, margin - distance of their centers).

    Raises:
        ValueError: If the batch holds fewer than two identities. On devices other than the CPU the loss is NaN instead.

    Source:
        MPANet (CVPR 2021), released code.

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

    def __init__(self, *, margin: float = 0.7) -> None:
        super().__init__()
        if margin < 0:
            raise ArgumentError("margin", f"must be at least 0, got {margin}")
        self.margin = margin

    def forward(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        identities = groups(labels)
        centers = group_means(features, identities.same)
        pull = (features - centers).square().sum(dim=1).clamp_min(MIN_SQUARED).sqrt().mean()
        # each row holds its center; `first` keeps one for each identity
        pairs = (identities.first.unsqueeze(0) & identities.first.unsqueeze(1) & ~identities.same).to(centers.dtype)
        push = ((self.margin - distances(centers)).relu() * pairs).sum() / pairs.sum().clamp_min(1)
        text = f"all {len(labels)} rows of the batch have one identity; CenterCluster needs at least two"
        return {"pull": pull, "push": push + require(~identities.same.all(), text)}
