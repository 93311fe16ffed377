"""Triplet losses. Rows may come in any order: groups are found by labels and modality."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.registries import LOSSES
from vireid.layers.norms import unit_rows
from vireid.layers.pairwise import Groups, distances, group_means, groups, hardest, insist


def _checked_margin(margin: float) -> float:
    if margin < 0:
        raise ValueError(f"margin must be at least 0, got {margin}")
    return margin


def _two_identities(identities: Groups) -> Tensor:
    """0 to add to a loss; see `insist` for batches of one identity, in which nothing is a negative."""
    rows = len(identities.first)
    text = f"a triplet needs at least two identities in the batch; all {rows} rows have the same"
    return insist(~identities.same.all(), text)


@LOSSES.register
class BatchHardTriplet(nn.Module):
    """Farthest positive against nearest negative for every row, both modalities mixed.

    Shapes: features (R, D), labels (R,) -> scalar: the mean over rows of max(0, d_positive - d_negative + margin),
    Euclidean distances of unnormalised features. The row itself is among its positives, at distance 1e-6.
    Errors: fewer than two identities in the batch are a ValueError on the CPU and NaN on other devices.
    Source: the "OriTripletLoss" of AGW, DDAG and HCT; no departure (they loop over rows).
    """

    def __init__(self, *, margin: float = 0.3) -> None:
        super().__init__()
        self.margin = _checked_margin(margin)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        identities = groups(labels)
        positive, negative = hardest(distances(features), identities.same)
        return (positive - negative + self.margin).relu().mean() + _two_identities(identities)


@LOSSES.register
class HeteroCenterTriplet(nn.Module):
    """Batch-hard triplet over the centres of each identity in each modality.

    Shapes: features (R, D), labels (R,), modality (R,) -> scalar: the mean over the centres. With both modalities
    present the positive of a centre is the centre of the same identity in the other one.
    Errors: fewer than two identities in the batch are a ValueError on the CPU and NaN on other devices.
    Source: HCT (TMM 2020), released code. Departs: the release cuts the batch into equal chunks and so needs its
    sampler's row order; here rows are grouped by labels and modality, and numbers of rows may differ. A centre whose
    identity lacks the other modality has only itself as a positive.
    """

    def __init__(self, *, margin: float = 0.3) -> None:
        super().__init__()
        self.margin = _checked_margin(margin)

    def forward(self, features: Tensor, labels: Tensor, modality: Tensor) -> Tensor:
        identities, centers = groups(labels), groups(labels, modality)
        distance = distances(group_means(features, centers.same))  # a centre stands at each of its rows; one counts
        positive, negative = hardest(distance, identities.same, centers.first)
        return centers.mean((positive - negative + self.margin).relu()) + _two_identities(identities)


@LOSSES.register
class WeightedRegularizedTriplet(nn.Module):
    """Softly weighted positives against softly weighted negatives for every row, without a margin.

    Shapes: features (R, D), labels (R,) -> scalar: the mean over rows of softplus(sum w+ d - sum w- d), where w+ is the
    softmax of +d over rows of the same identity (the row itself included) and w- that of -d over all others. Gradients
    flow through the weights. `normalize` puts features to length 1 first (off in the releases).
    Errors: fewer than two identities in the batch are a ValueError on the CPU and NaN on other devices.
    Source: AGW (TPAMI 2021). Departs: the release adds 1e-6 to the sum of each softmax's exponentials, and shifts those
    of the negatives by nothing, so that its negative weights vanish where all negatives are farther than about 14.
    `released_eps` is that form, which the published results were trained with; the default is the plain softmax.
    """

    def __init__(self, *, released_eps: bool = False, normalize: bool = False) -> None:
        super().__init__()
        self.weigh = _released_weights if released_eps else _softmax_weights
        self.normalize = normalize

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        identities = groups(labels)
        distance = distances(unit_rows(features) if self.normalize else features)
        positive, negative = self.weigh(distance, identities.same)
        difference = ((positive - negative) * distance).sum(dim=1)
        # torch's softplus is a straight line from 20 on
        return -F.logsigmoid(-difference).mean() + _two_identities(identities)


@LOSSES.register
class EnhancedSquaredTriplet(nn.Module):
    """The weighted-regularised triplet on the squared difference of its two distances.

    Shapes: features (R, D), labels (R,) -> scalar: the mean over rows of softplus(s q), where p = sum w+ d and
    n = sum w- d as in `WeightedRegularizedTriplet` with weights of `alpha` d, q = min(gamma (p - n)^2, 88), and s = 1
    where p > n, else -1. Beyond the limit of 88 a row has no gradient. Without `square` it is softplus(gamma (p - n)).
    Errors: fewer than two identities in the batch are a ValueError on the CPU and NaN on other devices.
    Source: CAJ (ICCV 2021), "TripletLoss_ADP" with alpha, gamma and square 1. `released_eps` as in
    `WeightedRegularizedTriplet`: the published form of the weights; the default is the plain softmax.
    """

    limit = 88.0

    def __init__(
        self, *, alpha: float = 1.0, gamma: float = 1.0, square: bool = True, released_eps: bool = False
    ) -> None:
        super().__init__()
        if alpha <= 0 or gamma <= 0:
            raise ValueError(f"alpha and gamma must be above 0, got {alpha} and {gamma}")
        self.alpha, self.gamma, self.square = alpha, gamma, square
        self.weigh = _released_weights if released_eps else _softmax_weights

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        identities = groups(labels)
        distance = distances(features)
        positive, negative = self.weigh(self.alpha * distance, identities.same)
        difference = ((positive - negative) * distance).sum(dim=1)
        if self.square:
            sign = (difference.detach() > 0).to(difference.dtype) * 2 - 1
            penalty = sign * (self.gamma * difference.square()).clamp_max(self.limit)
        else:
            penalty = self.gamma * difference
        # torch's softplus is a straight line from 20 on
        return -F.logsigmoid(-penalty).mean() + _two_identities(identities)


def _softmax_weights(distance: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """(N, N), (N, N) bool -> weights of positives and of negatives, rows summing to 1."""
    positive = distance.masked_fill(~same, float("-inf")).softmax(dim=1)
    return positive, (-distance).masked_fill(same, float("-inf")).softmax(dim=1)


def _released_weights(distance: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """As the release computes them: rows sum to less than 1, those of far negatives to almost 0."""
    farthest = distance.masked_fill(~same, 0).amax(dim=1, keepdim=True)
    positive = (distance - farthest).exp() * same
    negative = (-distance).exp() * ~same
    return positive / (positive.sum(dim=1, keepdim=True) + 1e-6), negative / (negative.sum(dim=1, keepdim=True) + 1e-6)
