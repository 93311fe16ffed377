"""Triplet losses: batch-hard, intra-modality, hetero-center, weighted regularized and enhanced squared."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import LOSSES
from vireid.layers.norms import l2_normalize
from vireid.layers.pairwise import Groups, distances, group_means, groups, hardest, require


def _checked_margin(margin: float) -> float:
    if margin < 0:
        raise ArgumentError("margin", f"must be at least 0, got {margin}")
    return margin


def _two_identities(identities: Groups) -> Tensor:
    """Return 0, to add to a loss; see `require` for the error of a batch of one identity, which has no negatives."""
    rows = len(identities.first)
    text = f"a triplet needs at least two identities in the batch; all {rows} rows have the same"
    return require(~identities.same.all(), text)


def _hinge(difference: Tensor, margin: float | None) -> Tensor:
    """Hinge of d_positive - d_negative, or its softplus if there is no margin; infinite differences have value 0."""
    if margin is None:
        return -F.logsigmoid(-difference)  # F.softplus is linear above 20; this is exact
    return (difference + margin).relu()


@LOSSES.register
class BatchHardTriplet(nn.Module):
    """Batch-hard triplet loss: farthest positive and nearest negative of each row, over both modalities.

    Distances are Euclidean, between features that are not L2-normalized. Each row is also its own positive, at
    distance 1e-6.

    Args:
        margin: Margin of the hinge. None: softplus(d_positive - d_negative) instead of the hinge (soft margin).

    Shape:
        features (R, D), labels (R,) -> scalar, the mean over rows of max(0, d_positive - d_negative + margin).

    Raises:
        ValueError: If the batch holds fewer than two identities. On devices other than the CPU the loss is NaN instead.

    Source:
        Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", 2017; "OriTripletLoss" in the
        released code of AGW, DDAG and HCT.

    Departs:
        Not in any number; the released code loops over rows.

    Example:
        >>> import torch
        >>> features = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> BatchHardTriplet(margin=0.3)(features, labels=torch.tensor([0, 0, 1, 1]))
        tensor(0.3000)
    """

    def __init__(self, *, margin: float | None = 0.3) -> None:
        super().__init__()
        self.margin = None if margin is None else _checked_margin(margin)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        identities = groups(labels)
        positive, negative = hardest(distances(features), identities.same)
        return _hinge(positive - negative, self.margin).mean() + _two_identities(identities)


@LOSSES.register
class IntraModalityTriplet(nn.Module):
    """Batch-hard triplet loss inside each modality: positives and negatives are rows of the anchor's modality.

    Otherwise as `BatchHardTriplet`. The means of the modalities are added. A modality without rows adds 0.

    Args:
        margin: Margin of the hinge. None: softplus(d_positive - d_negative) instead of the hinge (soft margin).

    Shape:
        features (R, D), labels (R,), modality (R,) -> scalar, the sum over modalities of the mean over their rows of
        max(0, d_positive - d_negative + margin).

    Raises:
        ValueError: If a modality in the batch holds one identity only. On devices other than the CPU the loss is NaN
            instead.

    Source:
        Lu et al., "Learning Progressive Modality-Shared Transformers for Effective Visible-Infrared Person
        Re-Identification" (PMT), AAAI 2023; the first stage of the released code, margin 0.1.

    Departs:
        Not in any number; the released code relies on the row order of its sampler.

    Example:
        >>> import torch
        >>> features = torch.tensor([[0.0], [1.0], [0.0], [2.0]])
        >>> loss = IntraModalityTriplet(margin=1.5)
        >>> loss(features, labels=torch.tensor([0, 1, 0, 1]), modality=torch.tensor([0, 0, 1, 1]))
        tensor(0.5000)
    """

    def __init__(self, *, margin: float | None = 0.3) -> None:
        super().__init__()
        self.margin = None if margin is None else _checked_margin(margin)

    def forward(self, features: Tensor, labels: Tensor, modality: Tensor) -> Tensor:
        identities, modalities = groups(labels), groups(modality)
        positives, negatives = modalities.same & identities.same, modalities.same & ~identities.same
        distance = distances(features)
        positive = distance.masked_fill(~positives, float("-inf")).amax(dim=1)
        negative = distance.masked_fill(~negatives, float("inf")).amin(dim=1)
        of_modality = _hinge(positive - negative, self.margin) / modalities.same.sum(dim=1)
        text = "a triplet needs at least two identities in each modality of the batch; one modality has only one"
        return of_modality.sum() + require(negatives.any(dim=1).all(), text)


@LOSSES.register
class HeteroCenterTriplet(nn.Module):
    """Hetero-center triplet loss: batch-hard triplets over the center of each identity in each modality.

    The anchor is a center. With both modalities in the batch, the positive is the center of the same identity in the
    other modality. The negative is the nearest center of another identity. A center whose identity is missing in the
    other modality has only itself as a positive.

    Args:
        margin: Margin of the hinge.

    Shape:
        features (R, D), labels (R,), modality (R,) -> scalar, the mean over centers.

    Raises:
        ValueError: If the batch holds fewer than two identities. On devices other than the CPU the loss is NaN instead.

    Source:
        Liu et al., "Parameter Sharing Exploration and Hetero-Center Triplet Loss for Visible-Thermal Person
        Re-Identification" (HCT), TMM 2020; released code.

    Departs:
        The released code cuts the batch into chunks of equal size and relies on the row order of its sampler. Rows are
        grouped by labels and modality here, and the groups may differ in size.

    Example:
        >>> import torch
        >>> features = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> loss = HeteroCenterTriplet(margin=0.3)
        >>> loss(features, labels=torch.tensor([0, 0, 1, 1]), modality=torch.tensor([0, 1, 0, 1]))
        tensor(0.3000)
    """

    def __init__(self, *, margin: float = 0.3) -> None:
        super().__init__()
        self.margin = _checked_margin(margin)

    def forward(self, features: Tensor, labels: Tensor, modality: Tensor) -> Tensor:
        identities, centers = groups(labels), groups(labels, modality)
        distance = distances(group_means(features, centers.same))  # each row holds its center; `first` keeps one
        positive, negative = hardest(distance, identities.same, centers.first)
        return centers.mean((positive - negative + self.margin).relu()) + _two_identities(identities)


@LOSSES.register
class WeightedRegularizedTriplet(nn.Module):
    """Weighted regularized triplet loss: softmax-weighted positives and negatives, no margin.

    Gradients flow through the weights.

    Args:
        released_eps: Use the weights of the released code instead of the plain softmax; see Departs.
        normalize: L2-normalize the features first. The released codes do not.

    Shape:
        features (R, D), labels (R,) -> scalar, the mean over rows of softplus(sum w+ d - sum w- d). w+ is the softmax
        of d over the rows of the same identity (the row itself included), w- the softmax of -d over all other rows.

    Raises:
        ValueError: If the batch holds fewer than two identities. On devices other than the CPU the loss is NaN instead.

    Source:
        Ye et al., "Deep Learning for Person Re-Identification: A Survey and Outlook" (AGW), TPAMI 2021.

    Departs:
        The released code adds 1e-6 to the sum of exponentials of each softmax and does not shift the exponents of the
        negatives. Its negative weights vanish where all negatives are farther than about 14. `released_eps=True` is
        that form, with which the published results were trained. The default is the plain softmax.

    Example:
        >>> import torch
        >>> features = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> WeightedRegularizedTriplet()(features, labels=torch.tensor([0, 0, 1, 1]))
        tensor(0.4996)
    """

    def __init__(self, *, released_eps: bool = False, normalize: bool = False) -> None:
        super().__init__()
        self.weigh = _released_weights if released_eps else _softmax_weights
        self.normalize = normalize

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        identities = groups(labels)
        distance = distances(l2_normalize(features) if self.normalize else features)
        positive, negative = self.weigh(distance, identities.same)
        difference = ((positive - negative) * distance).sum(dim=1)
        # F.softplus is linear above 20; -logsigmoid(-x) is exact
        return -F.logsigmoid(-difference).mean() + _two_identities(identities)


@LOSSES.register
class EnhancedSquaredTriplet(nn.Module):
    """Enhanced squared-difference triplet loss.

    Weighted regularized triplet loss on the squared difference of its two weighted distances.

    Args:
        alpha: Factor of the distances inside the softmax weights.
        gamma: Factor of the difference or of its square.
        square: Square the difference. Without it the loss of a row is softplus(gamma (p - n)).
        released_eps: Use the weights of the released code; see `WeightedRegularizedTriplet`.

    Shape:
        features (R, D), labels (R,) -> scalar, the mean over rows of softplus(s q). p = sum w+ d and n = sum w- d are
        the weighted distances of `WeightedRegularizedTriplet`, q = min(gamma (p - n)^2, 88), s = 1 where p > n and -1
        otherwise. A row above the limit of 88 has no gradient.

    Raises:
        ValueError: If the batch holds fewer than two identities. On devices other than the CPU the loss is NaN instead.

    Source:
        Ye et al., "Channel Augmented Joint Learning for Visible-Infrared Recognition" (CAJ), ICCV 2021;
        "TripletLoss_ADP" in the released code, with alpha, gamma and square 1.

    Departs:
        The default is the plain softmax; `released_eps=True` gives the published weights.

    Example:
        >>> import torch
        >>> features = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> EnhancedSquaredTriplet()(features, labels=torch.tensor([0, 0, 1, 1]))
        tensor(0.6035)
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
        # F.softplus is linear above 20; -logsigmoid(-x) is exact
        return -F.logsigmoid(-penalty).mean() + _two_identities(identities)


def _softmax_weights(distance: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax weights of positives and negatives, (N, N), (N, N) bool -> two of (N, N), each row summing to 1."""
    positive = distance.masked_fill(~same, float("-inf")).softmax(dim=1)
    return positive, (-distance).masked_fill(same, float("-inf")).softmax(dim=1)


def _released_weights(distance: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the released code: each row sums to less than 1, the weights of far negatives to almost 0."""
    farthest = distance.masked_fill(~same, 0).amax(dim=1, keepdim=True)
    positive = (distance - farthest).exp() * same
    negative = (-distance).exp() * ~same
    return positive / (positive.sum(dim=1, keepdim=True) + 1e-6), negative / (negative.sum(dim=1, keepdim=True) + 1e-6)
