"""MPANet's mutual learning: a classifier for each modality, taught by the slow copy of the other one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.interfaces import EpochContext
from vireid.core.registries import LOSSES
from vireid.core.types import Modality


@LOSSES.register
class ModalityMutualLearning(nn.Module):
    """Identity classifiers of one modality each; every row also learns to agree with the other modality's slow copy.

    Shapes: features_bn (R, D), labels (R,), modality (R,) -> `id` = id_weight (mean cross-entropy of the visible rows
    by the visible classifier + the same of the infrared rows), and `kl` = kl_weight mean over rows of KL(p || q): p of
    the row's own classifier, with gradient, q of the running copy of the other modality's, without.
    Each training step first moves the copies: copy <- (1 - r) copy + r classifier, r = `update` min(1, 100 / (e + 1))
    in epoch e, counted from 1: constant for 99 epochs, then falling. The copies and r are buffers.
    A modality that the batch lacks adds nothing.
    Source: MPANet (CVPR 2021), released code: `update_rate` 0.2, `weight_KL` 2.5. The release adds its
    `weight_sid` (v + i) = 0.5 (v + i) twice: `id_weight` 1 is what it trains with. Departs: copies start as copies; on
    the CPU the release's start as the very tensors of the classifiers.
    """

    visible_copy: Tensor
    infrared_copy: Tensor
    rate: Tensor

    def __init__(
        self,
        *,
        update: float = 0.2,
        id_weight: float = 1.0,
        kl_weight: float = 2.5,
        num_ids: int,
        feature_dim: int,
    ) -> None:
        super().__init__()
        if not 0 <= update <= 1:
            raise ValueError(f"update must lie in [0, 1], got {update}")
        if id_weight < 0 or kl_weight < 0:
            raise ValueError(f"id_weight and kl_weight must be at least 0, got {id_weight} and {kl_weight}")
        self.update, self.id_weight, self.kl_weight = update, id_weight, kl_weight
        self.visible = nn.Linear(feature_dim, num_ids, bias=False)
        self.infrared = nn.Linear(feature_dim, num_ids, bias=False)
        self.register_buffer("visible_copy", self.visible.weight.detach().clone())
        self.register_buffer("infrared_copy", self.infrared.weight.detach().clone())
        self.register_buffer("rate", torch.tensor(float(update)))

    def start_epoch(self, context: EpochContext) -> None:
        """Set the rate of the copies for this epoch."""
        self.rate.fill_(self.rate_in(context.progress.epoch + 1))

    def rate_in(self, epoch: int) -> float:
        """How far the copies move in each step of an epoch, counted from 1.

        >>> loss = ModalityMutualLearning(update=0.2, num_ids=2, feature_dim=2)
        >>> loss.rate_in(1), loss.rate_in(99), loss.rate_in(199)
        (0.2, 0.2, 0.1)
        """
        return self.update * min(1.0, 100 / (epoch + 1))

    def forward(self, features_bn: Tensor, labels: Tensor, modality: Tensor) -> dict[str, Tensor]:
        visible = modality == Modality.VISIBLE
        both = self.visible(features_bn), self.infrared(features_bn)  # all rows by each: cheaper than sorting them
        scores = torch.where(visible.unsqueeze(1), *both)
        log_p = scores.log_softmax(dim=1)
        identity = F.nll_loss(log_p, labels, reduction="none")
        log_q = self._taught(features_bn.detach(), visible)
        agreement = (log_p.exp() * (log_p - log_q)).sum(dim=1).mean()
        return {
            "id": self.id_weight * (_mean(identity, visible) + _mean(identity, ~visible)),
            "kl": self.kl_weight * agreement,
        }

    @torch.no_grad()
    def _taught(self, features_bn: Tensor, visible: Tensor) -> Tensor:
        """(R, D), (R,) bool -> (R, I) log-probabilities by the copies, which move first."""
        if self.training:
            self.visible_copy.lerp_(self.visible.weight, self.rate)
            self.infrared_copy.lerp_(self.infrared.weight, self.rate)
        crosswise = F.linear(features_bn, self.infrared_copy), F.linear(features_bn, self.visible_copy)
        return torch.where(visible.unsqueeze(1), *crosswise).log_softmax(dim=1)


def _mean(values: Tensor, rows: Tensor) -> Tensor:
    """Mean of (R,) values over rows that are True; 0 where none is."""
    chosen = rows.to(values.dtype)
    return (values * chosen).sum() / chosen.sum().clamp_min(1)
