"""L2 normalization of embeddings, and BN necks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vireid.core.types import Modality
from vireid.layers.precision import float32_or_more, without_autocast


def l2_normalize(x: Tensor) -> Tensor:
    """L2-normalize each vector along the last axis: (..., D) -> (..., D).

    A zero vector stays zero, and so has similarity 0 to every vector. In the released codes, which divide by the norm,
    it becomes NaN. Vectors so short that their square underflows (1e-23 in float32) also stay as they are.

    Example:
        >>> l2_normalize(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / length.masked_fill(length == 0, 1)


def frozen_shift_neck(width: int) -> nn.BatchNorm1d:
    """Build a BN neck: scale drawn from N(1, 0.01), shift 0 and not trained (it stays in the state dict).

    Source:
        HCT, MMD-ReID and AGW as released.
    """
    neck = nn.BatchNorm1d(width)
    nn.init.normal_(neck.weight, 1.0, 0.01)
    nn.init.zeros_(neck.bias)
    neck.bias.requires_grad_(False)
    return neck


class ModalityNeck(nn.Module):
    """Two BN necks, one for each modality, with separate batch statistics and running averages.

    Scales start at 1; shifts are 0 and not trained. Each row is normalized by the neck of its modality. In training,
    the statistics are those of the rows of the same modality. A modality with fewer than two rows in the batch leaves
    the running averages of its neck unchanged. Computed in float32 or more.

    Args:
        width: Width D of the rows.

    Shape:
        features (R, D), modality (R,) -> (R, D).

    Source:
        Fang et al., "Visible-Infrared Person Re-Identification via Semantic Alignment and Affinity Inference" (SAAI),
        ICCV 2023; released code.

    Departs:
        Rows are selected by masks, which no device has to wait for. A single row of a modality becomes the shift of its
        neck; `nn.BatchNorm1d` raises an error.

    Example:
        >>> features, modality = torch.tensor([[1.0], [3.0], [10.0], [30.0]]), torch.tensor([0, 0, 1, 1])
        >>> ModalityNeck(1)(features, modality).detach().round(decimals=3).T
        tensor([[-1.,  1., -1.,  1.]])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.visible, self.infrared = nn.BatchNorm1d(width), nn.BatchNorm1d(width)
        for neck in (self.visible, self.infrared):
            neck.bias.requires_grad_(False)

    def forward(self, features: Tensor, modality: Tensor) -> Tensor:
        visible = (modality == Modality.VISIBLE).unsqueeze(1)
        with without_autocast(features):
            rows = float32_or_more(features)
            pair = _masked_neck(self.visible, rows, visible), _masked_neck(self.infrared, rows, ~visible)
            return torch.where(visible, *pair)


def _masked_neck(neck: nn.BatchNorm1d, rows: Tensor, chosen: Tensor) -> Tensor:
    """Normalize all rows by the statistics of the chosen rows: (R, D), (R, 1) bool -> (R, D)."""
    if not neck.training:
        return neck(rows)
    assert neck.running_mean is not None
    assert neck.running_var is not None
    assert neck.num_batches_tracked is not None
    assert neck.momentum is not None
    count = chosen.sum().to(rows.dtype)
    mean = torch.where(chosen, rows, 0).sum(dim=0) / count.clamp_min(1)
    centered = rows - mean
    variance = torch.where(chosen, centered, 0).square().sum(dim=0) / count.clamp_min(1)
    with torch.no_grad():
        enough = count >= 2
        momentum = neck.momentum * enough.to(neck.running_mean.dtype)
        neck.running_mean.lerp_(mean.to(neck.running_mean.dtype), momentum)
        unbiased = variance * count / (count - 1).clamp_min(1)
        neck.running_var.lerp_(unbiased.to(neck.running_var.dtype), momentum)
        neck.num_batches_tracked += enough
    return centered * (neck.weight * torch.rsqrt(variance + neck.eps)) + neck.bias
