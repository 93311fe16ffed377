"""Prediction of binary attributes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.registries import LOSSES


@LOSSES.register
class AttributeBCE(nn.Module):
    """Binary cross-entropy, averaged over the attributes that somebody annotated.

    Shapes: attribute_logits (R, A), attributes (R, A), attributes_known (R, A) bool -> scalar; 0 where nothing is
    known. For the log it measures how often predictions are right: `accuracy` and `balanced` (the mean of the shares
    among ones and among zeros, of those that the batch has), both means over attributes, and `accuracy/<i>` of each.
    Source: PAENet (ACM MM 2022), equation 9, which writes a sum with one of the two logarithms; the released code has
    the mean over rows and attributes with both, as here.
    """

    def forward(self, attribute_logits: Tensor, attributes: Tensor, attributes_known: Tensor) -> Tensor:
        known = attributes_known.to(attribute_logits.dtype)
        each = F.binary_cross_entropy_with_logits(attribute_logits, attributes.to(known.dtype), reduction="none")
        return (each * known).sum() / known.sum().clamp_min(1)

    def measure(self, attribute_logits: Tensor, attributes: Tensor, attributes_known: Tensor) -> dict[str, Tensor]:
        """Shares of right predictions; NaN where there is nothing to predict."""
        ones = attributes > 0.5
        right = (attribute_logits > 0) == ones
        accuracy = _share(right, attributes_known)
        recalls = _mean_of_some(_share(right, attributes_known & ones), _share(right, attributes_known & ~ones))
        each = {f"accuracy/{number}": share for number, share in enumerate(accuracy.unbind())}
        return {"accuracy": accuracy.nanmean(), "balanced": recalls.nanmean(), **each}


def _share(right: Tensor, among: Tensor) -> Tensor:
    """(R, A) bool, (R, A) bool -> (A,): NaN for attributes of which no row is among them."""
    return (right & among).sum(dim=0) / among.sum(dim=0)


def _mean_of_some(first: Tensor, second: Tensor) -> Tensor:
    """The mean of two, or the one that is no NaN."""
    return first.where(first.isfinite(), second).add(second.where(second.isfinite(), first)) / 2
