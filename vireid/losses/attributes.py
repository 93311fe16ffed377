"""Attribute loss: binary cross-entropy over annotated attributes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.registries import LOSSES


@LOSSES.register
class AttributeBCE(nn.Module):
    """Binary cross-entropy over attributes, averaged over the annotated entries.

    `measure` reports `accuracy`, `balanced` (balanced accuracy: the mean of the recalls of ones and of zeros, as far
    as the batch has both), both averaged over attributes, and `accuracy/<i>` of each attribute.

    Shape:
        attribute_logits (R, A), attributes (R, A), attributes_known (R, A) bool -> scalar, 0 if no entry is annotated.

    Source:
        Zheng et al., "Progressive Attribute Embedding for Accurate Cross-Modality Person Re-ID" (PAENet), ACM MM 2022,
        equation 9.

    Departs:
        Equation 9 is a sum with one of the two logarithms. The released code averages over rows and attributes and has
        both logarithms, as here. Entries without annotation are left out.

    Example:
        >>> import torch
        >>> logits, attributes = torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, 1.0]])
        >>> AttributeBCE()(logits, attributes, attributes_known=torch.tensor([[True, False]]))
        tensor(0.1269)
    """

    def forward(self, attribute_logits: Tensor, attributes: Tensor, attributes_known: Tensor) -> Tensor:
        known = attributes_known.to(attribute_logits.dtype)
        each = F.binary_cross_entropy_with_logits(attribute_logits, attributes.to(known.dtype), reduction="none")
        return (each * known).sum() / known.sum().clamp_min(1)

    def measure(self, attribute_logits: Tensor, attributes: Tensor, attributes_known: Tensor) -> dict[str, Tensor]:
        """Compute the accuracy of the predictions, for the log; NaN where no entry is annotated."""
        ones = attributes > 0.5
        correct = (attribute_logits > 0) == ones
        accuracy = _share(correct, attributes_known)
        recalls = _mean_of_some(_share(correct, attributes_known & ones), _share(correct, attributes_known & ~ones))
        each = {f"accuracy/{number}": share for number, share in enumerate(accuracy.unbind())}
        return {"accuracy": accuracy.nanmean(), "balanced": recalls.nanmean(), **each}


def _share(correct: Tensor, selected: Tensor) -> Tensor:
    """Share of correct entries for each attribute, (R, A) bool, (R, A) bool -> (A,); NaN if no row is selected."""
    return (correct & selected).sum(dim=0) / selected.sum(dim=0)


def _mean_of_some(first: Tensor, second: Tensor) -> Tensor:
    """Mean of two tensors, or the finite one where the other is NaN."""
    return first.where(first.isfinite(), second).add(second.where(second.isfinite(), first)) / 2
