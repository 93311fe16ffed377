"""Losses of PMT for modality-shared features: modality-shared enhancement (MSEL) and discriminative center (DCL)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vireid.core.registries import LOSSES
from vireid.layers.pairwise import distances, group_means, groups, require


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of each row over its mask, 0 if the mask is empty: (N, M), (N, M) bool -> (N,)."""
    return (values * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)


@LOSSES.register
class ModalitySharedEnhancement(nn.Module):
    """Modality-shared enhancement loss (MSEL): equal distances to positives of both modalities.

    For each row, the mean Euclidean distance to the other rows of its identity in its modality (intra) is compared to
    the mean distance to the rows of its identity in the other modality (cross). The features are not L2-normalized.

    Shape:
        features (R, D), labels (R,), modality (R,) -> scalar, the mean over rows of (cross - intra)^2. A row without a
        positive in one of the two modalities does not count.

    Raises:
        ValueError: If no row has positives in both modalities, as with one image of each identity in each modality. On
            devices other than the CPU the loss is NaN instead.

    Source:
        Lu et al., "Learning Progressive Modality-Shared Transformers for Effective Visible-Infrared Person
        Re-Identification" (PMT), AAAI 2023; released code.

    Departs:
        The released code relies on the row order of its sampler and takes the K - 1 largest of K distances to leave out
        the row itself. Rows are grouped by labels and modality here. The values differ only where two images of an
        identity have the same features.

    Example:
        >>> import torch
        >>> features = torch.tensor([[0.0], [1.0], [3.0], [5.0]])
        >>> loss = ModalitySharedEnhancement()
        >>> loss(features, labels=torch.tensor([0, 0, 0, 0]), modality=torch.tensor([0, 0, 1, 1]))
        tensor(4.8750)
    """

    def forward(self, features: Tensor, labels: Tensor, modality: Tensor) -> Tensor:
        distance = distances(features)
        identity, same_modality = groups(labels).same, groups(labels, modality).same
        intra = same_modality & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        cross = identity & ~same_modality
        counted = intra.any(dim=1) & cross.any(dim=1)
        squared = (_masked_mean(distance, cross) - _masked_mean(distance, intra)).square()
        text = (
            "ModalitySharedEnhancement: no row of the batch has positives in both modalities; use a sampler with at"
            " least two images of each identity in each modality"
        )
        return (squared * counted).sum() / counted.sum().clamp_min(1) + require(counted.any(), text)


@LOSSES.register
class DiscriminativeCenter(nn.Module):
    """Discriminative center loss (DCL): distances to the own identity center relative to hard negatives.

    The center of an identity is the mean of its rows in both modalities; gradients flow through it. Hard negatives of
    a center are the rows of other identities that are nearer than their mean. The choice has no gradient. Distances are
    Euclidean, between features that are not L2-normalized.

    Shape:
        features (R, D), labels (R,) -> scalar, the mean over rows of the distance to their center, divided by the mean
        over centers of the mean distance to their hard negatives.

    Raises:
        ValueError: If the batch holds fewer than two identities. On devices other than the CPU the loss is NaN instead.

    Source:
        Lu et al., "Learning Progressive Modality-Shared Transformers for Effective Visible-Infrared Person
        Re-Identification" (PMT), AAAI 2023; released code.

    Departs:
        The released code relies on the row order of its sampler and leaves out all distances up to 1e-6; rows are
        grouped by labels here. It returns NaN where all negatives of a center are equally far, which have no hard
        negatives: all of them count here.

    Example:
        >>> import torch
        >>> features = torch.tensor([[0.0], [2.0], [5.0], [7.0]])
        >>> DiscriminativeCenter()(features, labels=torch.tensor([0, 0, 1, 1]))
        tensor(0.2500)
    """

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        identities = groups(labels)
        # row i holds the distances of the center of its identity; `first` keeps one row of each identity
        distance = distances(group_means(features, identities.same), features)
        negative = ~identities.same
        hard = negative & (distance < _masked_mean(distance, negative).unsqueeze(1))
        hard = torch.where(hard.any(dim=1, keepdim=True), hard, negative)
        to_negatives = identities.mean(_masked_mean(distance, hard))
        text = (
            "DiscriminativeCenter: all rows of the batch have the same identity; use a sampler with at least two"
            " identities in a batch"
        )
        return distance.diagonal().mean() / to_negatives + require(negative.any(), text)
