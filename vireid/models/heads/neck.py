"""BN neck without a classifier."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from vireid.core.errors import ArgumentError
from vireid.core.registries import HEADS


@HEADS.register
class NeckHead(nn.Module):
    """BN neck without a classifier, for methods that train without an identity loss.

    The shift of the batch normalization is 0 and not trained.

    Args:
        scale_std: Standard deviation of the initial scales, which are normal with mean 1; 0: all are 1.
        channels: Number of channels C of the feature map.

    Shape:
        pooled (R, C) -> features (R, C), the pooled features; features_bn (R, C).

    Raises:
        ArgumentError: If `channels` is below 1 or `scale_std` below 0.

    Source:
        MCE (AAAI 2023), released code; for its option --nce use `IdentityHead`. ADCA and PGM have `scale_std` 0.01.

    Departs:
        Not in any number.

    Example:
        >>> import torch
        >>> NeckHead(channels=1)(torch.tensor([[1.0], [3.0]]))["features_bn"].detach()
        tensor([[-1.0000],
                [ 1.0000]])
    """

    provides: ClassVar[frozenset[str]] = frozenset({"features", "features_bn"})

    def __init__(self, *, scale_std: float = 0.0, channels: int) -> None:
        super().__init__()
        if scale_std < 0:
            raise ArgumentError("scale_std", f"must be at least 0, got {scale_std:g}")
        if channels < 1:
            raise ArgumentError("channels", f"must be at least 1, got {channels}")
        self.dims = {"features": channels, "features_bn": channels}
        self.neck = nn.BatchNorm1d(channels)
        if scale_std:
            nn.init.normal_(self.neck.weight, 1.0, scale_std)
        self.neck.bias.requires_grad_(False)

    def forward(self, pooled: Tensor) -> dict[str, Tensor]:
        return {"features": pooled, "features_bn": self.neck(pooled)}
