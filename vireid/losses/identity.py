"""Identity loss: cross-entropy over identities."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import LOSSES


@LOSSES.register
class IdentityCrossEntropy(nn.Module):
    """Cross-entropy over identities, averaged over rows (identity loss).

    Args:
        smoothing: Label smoothing e. The target is (1 - e) one-hot + e / I.

    Shape:
        logits (R, I), labels (R,) -> scalar.

    Source:
        Released code of HCT (e = 0.1 on RegDB), MMD-ReID and AGW.

    Departs:
        Not in any number.

    Example:
        >>> import torch
        >>> IdentityCrossEntropy(smoothing=0.1)(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), labels=torch.tensor([0, 1]))
        tensor(0.2951)
    """

    def __init__(self, *, smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= smoothing < 1:
            raise ArgumentError("smoothing", f"must be in [0, 1), got {smoothing}")
        self.smoothing = smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=self.smoothing)
