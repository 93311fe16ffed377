"""Cross-modality retrieval loss (MCJA): soft ranks of the other modality against ideal ranks."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import LOSSES
from vireid.layers.pairwise import groups
from vireid.layers.precision import float32_or_more, without_autocast
from vireid.layers.soft_rank import soft_rank

MIN_NORM = 1e-8  # lower bound of the norms of a cosine


@LOSSES.register
class CrossModalityRetrieval(nn.Module):
    """Cross-modality retrieval loss: each row is a query in the rows of the other modality.

    The distances (1 - cosine) / 2 of a query to its gallery of n rows are ranked by `soft_rank`. The target of a row of
    the same identity is rank 1, that of another row is n. The loss of a query is the mean absolute difference. A query
    without a match, or whose gallery holds only matches, is not used.

    If n x strength is at least 2, the soft ranks are linear in the distances. The loss of a query with k matches is
    then (n - 1) / 2 - k / (n strength) x (mean cosine of the matches - mean cosine of the gallery). Soft ranks are
    computed for smaller galleries only. The constant (n - 1) / 2 has no gradient, but it is in the logged value.

    Args:
        strength: Strength of the soft ranks.

    Shape:
        features (R, D), labels (R,), modality (R,) -> scalar, the mean over modalities of the mean over their queries;
        0 without queries.

    Raises:
        ArgumentError: If `strength` is not above 0.

    Source:
        Liang et al., "Bridging the Gap: Multi-level Cross-modality Joint Alignment for Visible-infrared Person
        Re-identification" (MCJA), TCSVT 2024; released code.

    Departs:
        Not in any number. Cosines are one matrix product, and queries are masked, not removed.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
        >>> loss = CrossModalityRetrieval(strength=0.1)
        >>> loss(features, labels=torch.tensor([0, 1, 0, 1]), modality=torch.tensor([0, 0, 1, 1]))
        tensor(0.)
    """

    def __init__(self, *, strength: float = 0.5) -> None:
        super().__init__()
        if not strength > 0:
            raise ArgumentError("strength", f"must be above 0, got {strength}")
        self.strength = strength

    def forward(self, features: Tensor, labels: Tensor, modality: Tensor) -> Tensor:
        identities, modalities = groups(labels), groups(modality)
        cosines = _cosines(features)
        gallery, same = ~modalities.same, ~modalities.same & identities.same
        size, matches = gallery.sum(dim=1), same.sum(dim=1)
        used = (matches > 0) & (matches < size)
        linear = size * self.strength >= 2
        of_query = torch.where(linear, self._linear(cosines, gallery, same), self._ranked(cosines, gallery, same))
        of_query = of_query.masked_fill(~used, 0)
        queries = (modalities.same & used).sum(dim=1).clamp_min(1)
        share = used.to(of_query.dtype) / queries  # in sum 1 over the queries of a modality
        return (of_query * share).sum() / share.sum().round().clamp_min(1)

    def _linear(self, cosines: Tensor, gallery: Tensor, same: Tensor) -> Tensor:
        """The loss of each query if all soft ranks are linear in the distances: (R,)."""
        size, matches = gallery.sum(dim=1), same.sum(dim=1)
        positive = torch.where(same, cosines, 0).sum(dim=1)
        mean = torch.where(gallery, cosines, 0).sum(dim=1) / size.clamp_min(1)
        return (size - 1) / 2 - (positive - matches * mean) / (size.clamp_min(1) * self.strength)

    def _ranked(self, cosines: Tensor, gallery: Tensor, same: Tensor) -> Tensor:
        """The loss of each query by soft ranks, if its gallery is too small for the linear form: (R,).

        Such a gallery has fewer than 2 / strength rows, a number that is known without reading tensors.
        """
        width = min(math.ceil(2 / self.strength), cosines.shape[1])
        columns = gallery.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :width]
        valid, positive = gallery.gather(1, columns), same.gather(1, columns)
        size = gallery.sum(dim=1, keepdim=True)
        found = soft_rank((1 - cosines.gather(1, columns)) / 2, strength=self.strength, valid=valid)
        errors = (found - torch.where(positive, 1, size)).abs()
        return torch.where(valid, errors, 0).sum(dim=1) / size.squeeze(1).clamp_min(1)


def _cosines(features: Tensor) -> Tensor:
    """Cosines of all pairs of rows, in float32 or more: (R, D) -> (R, R)."""
    with without_autocast(features):
        rows = float32_or_more(features)
        rows = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(MIN_NORM)
        return rows @ rows.T
