"""Triplet losses. Rows may come in any order: groups are found by labels and modality."""

from __future__ import annotations

from torch import Tensor, nn

from vireid.core.registries import LOSSES
from vireid.layers.pairwise import centers_by_identity_and_modality, distances, hardest


def _checked_margin(margin: float) -> float:
    if margin < 0:
        raise ValueError(f"margin must be at least 0, got {margin}")
    return margin


@LOSSES.register
class BatchHardTriplet(nn.Module):
    """Farthest positive against nearest negative for every row, both modalities mixed.

    Shapes: features (R, D), labels (R,) -> scalar: the mean over rows of max(0, d_positive - d_negative + margin),
    Euclidean distances of unnormalised features. The row itself is among its positives, at distance 1e-6.
    Errors: ValueError where the batch holds fewer than two identities.
    Source: the "OriTripletLoss" of AGW, DDAG and HCT; no departure (they loop over rows).
    """

    def __init__(self, *, margin: float = 0.3) -> None:
        super().__init__()
        self.margin = _checked_margin(margin)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        positive, negative = hardest(distances(features), labels)
        return (positive - negative + self.margin).relu().mean()


@LOSSES.register
class HeteroCenterTriplet(nn.Module):
    """Batch-hard triplet over the centres of each identity in each modality.

    Shapes: features (R, D), labels (R,), modality (R,) -> scalar: the mean over the centres. With both modalities
    present the positive of a centre is the centre of the same identity in the other one.
    Errors: ValueError where the batch holds fewer than two identities.
    Source: HCT (TMM 2020), released code. Departs: the release cuts the batch into equal chunks and so needs its
    sampler's row order; here rows are grouped by labels and modality, and numbers of rows may differ. A centre whose
    identity lacks the other modality has only itself as a positive.
    """

    def __init__(self, *, margin: float = 0.3) -> None:
        super().__init__()
        self.margin = _checked_margin(margin)

    def forward(self, features: Tensor, labels: Tensor, modality: Tensor) -> Tensor:
        centers = centers_by_identity_and_modality(features, labels, modality)
        positive, negative = hardest(distances(centers.features), centers.labels)
        return (positive - negative + self.margin).relu().mean()
