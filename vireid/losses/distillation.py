"""Modality mutual learning (MPANet, SAAI): modality-specific classifiers that distill from EMA copies of each other."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.errors import ArgumentError, nearest
from vireid.core.interfaces import EpochContext
from vireid.core.registries import LOSSES
from vireid.core.types import Modality


def _divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) of each row."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=1)


def _soft_cross_entropy(log_p: Tensor, log_q: Tensor) -> Tensor:
    """- sum q log p of each row."""
    return -(log_q.exp() * log_p).sum(dim=1)


AGREEMENTS = {"kl": _divergence, "soft_cross_entropy": _soft_cross_entropy}


@LOSSES.register
class ModalityMutualLearning(nn.Module):
    """Mutual learning of modality-specific classifiers, each with the EMA copy of the other modality as its teacher.

    Each training step first updates the EMA copies: copy <- (1 - r) copy + r classifier, with r = update * min(1, 100
    / (e + 1)) in epoch e, counted from 1: constant for 99 epochs, then decreasing. The copies and r are buffers. A
    modality that is missing in the batch contributes 0.

    Args:
        update: Rate of the EMA update in the first epochs, in [0, 1].
        id_weight: Factor of `id`.
        kl_weight: Factor of the agreement of a classifier with its teacher.
        agreement: "kl": KL(p || q) of MPANet. "soft_cross_entropy": - sum q log p of SAAI. The output has this name.
        num_ids: Number of identities I.
        feature_dim: Width D of the features.

    Shape:
        features_bn (R, D), labels (R,), modality (R,) -> `id` = id_weight (mean cross-entropy of visible rows by the
        visible classifier + that of infrared rows by the infrared classifier), and `kl` or `soft_cross_entropy` =
        kl_weight times the mean over rows of the agreement of p and q, where p is the softmax of the classifier of the
        row's modality, with gradient, and q that of the EMA copy of the other modality, without.

    Raises:
        ValueError: If `update` is outside [0, 1], a weight is negative, or `agreement` is another word.

    Source:
        Wu et al., "Discover Cross-Modality Nuances for Visible-Infrared Person Re-Identification" (MPANet), CVPR 2021;
        released code: `update_rate` 0.2, `weight_KL` 2.5. It adds `weight_sid` (v + i) = 0.5 (v + i) twice, which is
        `id_weight=1`. SAAI (ICCV 2023), released code: `update` 0.02, soft cross-entropy, all weights 1.

    Departs:
        The copies start as copies. On the CPU those of the released code start as the same tensors as the classifiers.

    Example:
        >>> loss = ModalityMutualLearning(num_ids=2, feature_dim=4)
        >>> _ = nn.init.zeros_(loss.visible.weight), nn.init.zeros_(loss.infrared.weight)  # equal logits: log 2 each
        >>> values = loss(torch.eye(4), labels=torch.tensor([0, 0, 1, 1]), modality=torch.tensor([0, 1, 0, 1]))
        >>> round(values["id"].item(), 4)
        1.3863
    """

    identity_tensors: ClassVar[frozenset[str]] = frozenset(
        {"visible.weight", "infrared.weight", "visible_copy", "infrared_copy"}
    )
    visible_copy: Tensor
    infrared_copy: Tensor
    rate: Tensor

    def __init__(
        self,
        *,
        update: float = 0.2,
        id_weight: float = 1.0,
        kl_weight: float = 2.5,
        agreement: Literal["kl", "soft_cross_entropy"] = "kl",
        num_ids: int,
        feature_dim: int,
    ) -> None:
        super().__init__()
        if not 0 <= update <= 1:
            raise ArgumentError("update", f"must lie in [0, 1], got {update}")
        if id_weight < 0 or kl_weight < 0:
            raise ValueError(f"id_weight and kl_weight must be at least 0, got {id_weight} and {kl_weight}")
        if agreement not in AGREEMENTS:
            known = f"{tuple(AGREEMENTS)}, got {agreement!r}{nearest(agreement, AGREEMENTS)}"
            raise ArgumentError("agreement", f"must be one of {known}")
        self.update, self.id_weight, self.kl_weight, self.agreement = update, id_weight, kl_weight, agreement
        self.visible = nn.Linear(feature_dim, num_ids, bias=False)
        self.infrared = nn.Linear(feature_dim, num_ids, bias=False)
        self.register_buffer("visible_copy", self.visible.weight.detach().clone())
        self.register_buffer("infrared_copy", self.infrared.weight.detach().clone())
        self.register_buffer("rate", torch.tensor(float(update)))

    def start_epoch(self, context: EpochContext) -> None:
        """Set the rate of the EMA update for this epoch."""
        self.rate.fill_(self.rate_in(context.progress.epoch + 1))

    def rate_in(self, epoch: int) -> float:
        """Rate of the EMA update in an epoch, counted from 1.

        Example:
            >>> loss = ModalityMutualLearning(update=0.2, num_ids=2, feature_dim=2)
            >>> loss.rate_in(1), loss.rate_in(99), loss.rate_in(199)
            (0.2, 0.2, 0.1)
        """
        return self.update * min(1.0, 100 / (epoch + 1))

    def forward(self, features_bn: Tensor, labels: Tensor, modality: Tensor) -> dict[str, Tensor]:
        visible = modality == Modality.VISIBLE
        logits = self.visible(features_bn), self.infrared(features_bn)  # all rows by both: cheaper than sorting
        scores = torch.where(visible.unsqueeze(1), *logits)
        log_p = scores.log_softmax(dim=1)
        identity = F.nll_loss(log_p, labels, reduction="none")
        log_q = self._teacher_log_probabilities(features_bn.detach(), visible)
        agreement = AGREEMENTS[self.agreement](log_p, log_q).mean()
        return {
            "id": self.id_weight * (_mean(identity, visible) + _mean(identity, ~visible)),
            self.agreement: self.kl_weight * agreement,
        }

    @torch.no_grad()
    def _teacher_log_probabilities(self, features_bn: Tensor, visible: Tensor) -> Tensor:
        """Update the EMA copies in training, then return the teachers' log-probabilities (R, I)."""
        if self.training:
            self.visible_copy.lerp_(self.visible.weight, self.rate)
            self.infrared_copy.lerp_(self.infrared.weight, self.rate)
        crosswise = F.linear(features_bn, self.infrared_copy), F.linear(features_bn, self.visible_copy)
        return torch.where(visible.unsqueeze(1), *crosswise).log_softmax(dim=1)


def _mean(values: Tensor, rows: Tensor) -> Tensor:
    """Mean of (R,) values over the selected rows; 0 if no row is selected."""
    chosen = rows.to(values.dtype)
    return (values * chosen).sum() / chosen.sum().clamp_min(1)
