"""BN neck without a classifier."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import HEADS


@HEADS.register
class NeckHead(nn.Module):
    """BN neck without a classifier, for methods that train without an identity loss.

    The scale of the batch normalization starts at 1; its shift is 0 and not trained.

    Args:
        channels: Number of channels C of the feature map.

    Shape:
        pooled (R, C) -> features (R, C), the pooled features; features_bn (R, C).

    Raises:
        ValueError: If `channels` is below 1.

    Source:
        MCE (AAAI 2023), released code. For its option --nce use `IdentityHead`.

    Departs:
        Not in any number.

    Example:
        >>> import torch
        >>> NeckHead(channels=1)(torch.tensor([[1.0], [3.0]]))["features_bn"].detach()
        tensor([[-1.0000],
                [ 1.0000]])
    """

    provides: ClassVar[frozenset[str]] = frozenset({"features", "features_bn"})

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        if channels < 1:
            raise ArgumentError("channels", f"must be at least 1, got {channels}")
        self.dims = {"features": channels, "features_bn": channels}
        self.neck = nn.BatchNorm1d(channels)
        self.neck.bias.requires_grad_(False)

    def forward(self, pooled: Tensor) -> dict[str, Tensor]:
        return {"features": pooled, "features_bn": self.neck(pooled)}
