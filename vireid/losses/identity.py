"""Classification of the person."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.registries import LOSSES


@LOSSES.register
class IdentityCrossEntropy(nn.Module):
    """Cross-entropy over identities, averaged over rows.

    Shapes: logits (R, I), labels (R,) -> scalar.
    With `smoothing` e the target is (1 - e) one-hot + e / I, as in HCT's label smoothing (e = 0.1 for RegDB).
    Source: HCT, MMD, AGW as released; no departure.
    """

    def __init__(self, *, smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing must be in [0, 1), got {smoothing}")
        self.smoothing = smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=self.smoothing)
